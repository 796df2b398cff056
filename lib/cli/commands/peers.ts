/** `talos peers`: who is registered. */

import { formatRegistryAddress } from "../../discovery/registry_address.ts";
import type { RegistryClient } from "../../discovery/registry_client.ts";
import { contacts } from "../../identity/contacts.ts";
import { Database } from "../../identity/database.ts";
import type { PeerId } from "../../identity/peer_id.ts";
import { printable } from "../../log.ts";
import { type ListedPeer, MAX_LIST_PAGE } from "../../wire/registry_messages.ts";
import { type Context, interactivePassphrase, openIdentity } from "../context.ts";
import { USE_PEERS } from "../next_steps.ts";
import { chooseRegistry, connectChosen, type RegistryFlags } from "../registry_choice.ts";

/** The most peers that are listed. */
const MAX_LISTED = 10_000;

/** Prints every listed peer with its whole Peer ID. Throws DiscoveryError, IdentityError. */
export async function peersCommand(context: Context, flags: RegistryFlags): Promise<void> {
  const { output } = context;
  const { identity } = await openIdentity(context, interactivePassphrase(context));
  using database = new Database(context.paths, identity.peerId);
  const choice = chooseRegistry(context, database, flags);
  const { address } = choice;
  await using client = await connectChosen(context, identity, database, choice, flags);
  const { listed, more } = await allPeers(client);
  const place = formatRegistryAddress({ host: address.host, port: address.port });
  if (!output.json) {
    output.say(
      `${listed.length}${more ? " and more" : ""} listed at ${place}; ` +
        "what stands in quotes is what peers call themselves",
    );
  }
  const petnames = new Map(contacts(database).map(({ peer, petname }) => [peer, petname]));
  output.result(
    listed.length === 0
      ? "nobody is listed"
      : listed.map((peer) => peerLine(peer, identity.peerId, petnames.get(peer.peer))).join("\n"),
    listed.map(({ peer, name, online, lastSeen, services }) => ({
      peer_id: peer,
      name,
      online,
      last_seen: new Date(lastSeen).toISOString(),
      services: services.map(label),
      contact: petnames.get(peer) ?? null,
    })),
    USE_PEERS,
  );
}

async function allPeers(client: RegistryClient): Promise<{ listed: ListedPeer[]; more: boolean }> {
  const listed: ListedPeer[] = [];
  let after: PeerId | undefined;
  do {
    const page = await client.list(MAX_LIST_PAGE, after);
    listed.push(...page.peers);
    after = page.peers.length === 0 ? undefined : page.next; // an empty page leads nowhere
  } while (after !== undefined && listed.length < MAX_LISTED);
  return { listed, more: after !== undefined };
}

/** Returns the line of `talos peers` for one peer. */
export function peerLine(
  { peer, name, online, services }: ListedPeer,
  self: PeerId,
  petname: string | undefined,
): string {
  const notes = [
    ...(peer === self ? ["this is you"] : []),
    ...(petname === undefined ? [] : [`your contact ${petname}`]),
  ];
  // What is ours comes first, and what the peer chose is quoted last: no name can pass for a note.
  return [
    peer,
    ...(notes.length === 0 ? [] : [`(${notes.join(", ")})`]),
    online ? "online" : "away  ",
    ...(services.length === 0 ? [] : [services.map(shownLabel).join(", ")]),
    JSON.stringify(printable(name)),
  ].join("  ");
}

/** Returns a service as people type it: without `mcp/`. A newer peer may have another kind. */
function label(service: string): string {
  return service.replace(/^mcp\//, "");
}

/** Quotes what is no name of a service that we know. */
function shownLabel(service: string): string {
  const text = label(service);
  return /^[a-z0-9][a-z0-9._-]{0,63}$/.test(text) ? text : JSON.stringify(printable(text));
}
