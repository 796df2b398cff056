/** `talos forget-registry`: forgets a registry's key, after its owner said that it has a new one. */

import { forgetKey } from "../../discovery/registry_keys.ts";
import { formatRegistryAddress, parseRegistryAddress } from "../../discovery/registry_address.ts";
import type { Context } from "../context.ts";
import { openOwnDatabase } from "../own_database.ts";

/** Forgets the key that is pinned for a registry. Throws IdentityError. */
export async function forgetRegistryCommand(context: Context, text: string): Promise<void> {
  const { host, port } = parseRegistryAddress(text);
  using database = await openOwnDatabase(context.paths);
  const place = formatRegistryAddress({ host, port });
  const forgotten = forgetKey(database, { host, port });
  context.output.result(
    forgotten ? `forgotten: the key of ${place}` : `no key of ${place} was pinned`,
    { registry: place, forgotten },
    [{ purpose: "pin the key it has now", command: `talos register --server ${place}` }],
  );
}
