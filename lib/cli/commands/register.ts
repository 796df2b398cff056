/** `talos register`: makes this peer known to a registry, and remembers the registry. */

import { formatRegistryAddress } from "../../discovery/registry_address.ts";
import { RegistryClient } from "../../discovery/registry_client.ts";
import { Database } from "../../identity/database.ts";
import { type Context, interactivePassphrase, openIdentity } from "../context.ts";
import {
  chooseRegistry,
  type RegistryFlags,
  registryOptions,
  rememberRegistry,
} from "../registry_choice.ts";

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
  const { address } = chooseRegistry(context, database, options);
  const unlisted = options.unlisted === true;
  await using client = await RegistryClient.connect(
    await registryOptions(context, identity, database, address, options),
  );
  await client.register(wallet.name, unlisted);
  rememberRegistry(database, address, unlisted, options);
  const place = formatRegistryAddress({ host: address.host, port: address.port });
  output.result(
    [
      `Registered: ${wallet.name} (${identity.peerId})${unlisted ? ", unlisted" : ""}`,
      `Registry:   ${place}, key ${client.registry}`,
      `Seen as:    ${client.hello.observed}`,
    ].join("\n"),
    {
      peer_id: identity.peerId,
      name: wallet.name,
      unlisted,
      registry: place,
      registry_key: client.registry,
      observed: client.hello.observed,
      skew_ms: client.skewMs,
    },
  );
  if (output.json) return;
  output.line("next, who else is there:    talos peers");
  output.line('or share an MCP server:     talos mcp-serve --authorized-peer <ID> --command "…"');
}
