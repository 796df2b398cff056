/** `talos register`: makes this peer known to a registry, and remembers the registry. */

import { formatRegistryAddress } from "../../discovery/registry_address.ts";
import { Database } from "../../identity/database.ts";
import { type Context, interactivePassphrase, openIdentity } from "../context.ts";
import { REGISTERED } from "../next_steps.ts";
import {
  chooseRegistry,
  connectChosen,
  type RegistryFlags,
  rememberRegistry,
} from "../registry_choice.ts";
import { tellProcesses } from "../running_process.ts";

/** The options of `talos register`. */
export interface RegisterOptions extends RegistryFlags {
  /** Hide this peer from `talos peers`; who has its Peer ID still finds it. */
  readonly unlisted?: boolean;
}

/** Registers, and prints at which registry. Throws DiscoveryError, IdentityError. */
export async function registerCommand(context: Context, options: RegisterOptions): Promise<void> {
  const { output } = context;
  const { wallet, identity } = await openIdentity(context, interactivePassphrase(context));
  using database = new Database(context.paths, identity.peerId);
  const choice = chooseRegistry(context, database, options);
  const { address } = choice;
  const unlisted = options.unlisted === true;
  await using client = await connectChosen(context, identity, database, choice, options);
  await client.register(wallet.name, unlisted);
  rememberRegistry(context, database, address, { ...options, unlisted });
  const told = await tellProcesses(context, identity, "register");
  const place = formatRegistryAddress({ host: address.host, port: address.port });
  const { observed } = client.hello;
  output.result(
    [
      `Registered: ${wallet.name}${unlisted ? ", unlisted" : ""}`,
      `Peer ID:    ${identity.peerId}`,
      `Registry:   ${place}, key ${client.registry}`,
      `Seen as:    ${observed}`,
      ...(told.length === 0
        ? []
        : [`Told:       ${told.map((pid) => `process ${pid}`).join(", ")}`]),
    ].join("\n"),
    {
      peer_id: identity.peerId,
      name: wallet.name,
      unlisted,
      registry: place,
      registry_key: client.registry,
      observed,
      skew_ms: client.skewMs,
      told,
    },
    REGISTERED,
  );
}
