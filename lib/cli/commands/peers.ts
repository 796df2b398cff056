/** `talos peers`: who is registered. */

import { formatRegistryAddress } from "../../discovery/registry_address.ts";
import { RegistryClient } from "../../discovery/registry_client.ts";
import { petnameOf } from "../../identity/contacts.ts";
import { Database } from "../../identity/database.ts";
import type { PeerId } from "../../identity/peer_id.ts";
import { type ListedPeer, MAX_LIST_PAGE } from "../../wire/registry_messages.ts";
import { type Context, interactivePassphrase, openIdentity } from "../context.ts";
import { chooseRegistry, type RegistryFlags, registryOptions } from "../registry_choice.ts";

/** The most peers that are listed; more are counted by the registry, not by us. */
const MAX_LISTED = 10_000;

/** Prints every listed peer with its whole Peer ID. Throws DiscoveryError, IdentityError. */
export async function peersCommand(context: Context, flags: RegistryFlags): Promise<void> {
  const { output } = context;
  const { identity } = await openIdentity(context, interactivePassphrase(context));
  using database = new Database(context.paths, identity.peerId);
  const { address } = chooseRegistry(context, database, flags);
  await using client = await RegistryClient.connect(
    await registryOptions(context, identity, database, address, flags),
  );
  const listed = await allPeers(client);
  const lines = listed.map((peer) =>
    peerLine(peer, identity.peerId, petnameOf(database, peer.peer))
  );
  output.result(
    lines.length === 0 ? "nobody is listed" : lines.join("\n"),
    listed.map(({ peer, name, online, lastSeen, services }) => ({
      peer_id: peer,
      name,
      online,
      last_seen: new Date(lastSeen).toISOString(),
      services,
      contact: petnameOf(database, peer) ?? null,
    })),
  );
  if (output.json) return;
  const place = formatRegistryAddress({ host: address.host, port: address.port });
  output.line(`${listed.length} listed at ${place}; names are what peers call themselves`);
  output.line("next: talos contacts add NAME PEER-ID, talos mcp-connect PEER-ID");
}

async function allPeers(client: RegistryClient): Promise<ListedPeer[]> {
  const listed: ListedPeer[] = [];
  let after: PeerId | undefined;
  do {
    const page = await client.list(MAX_LIST_PAGE, after);
    listed.push(...page.peers);
    after = page.next;
  } while (after !== undefined && listed.length < MAX_LISTED);
  return listed;
}

function peerLine(
  { peer, name, online, services }: ListedPeer,
  self: PeerId,
  petname: string | undefined,
): string {
  const notes = [
    ...(peer === self ? ["this is you"] : []),
    ...(petname === undefined ? [] : [`your contact ${petname}`]),
  ];
  const noted = notes.length === 0 ? "" : `  (${notes.join(", ")})`;
  const served = services.length === 0 ? "" : `  ${services.join(", ")}`;
  return `${peer}  ${online ? "online" : "away  "}  ${name}${served}${noted}`;
}
