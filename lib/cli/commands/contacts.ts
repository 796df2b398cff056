/** `talos contacts`: what we call other peers. */

import { addContact, contacts, removeContact, renameContact } from "../../identity/contacts.ts";
import { parsePetname } from "../../identity/names.ts";
import { parsePeerId } from "../../identity/peer_id.ts";
import type { Context } from "../context.ts";
import { openOwnDatabase } from "../own_database.ts";

/** `talos contacts add NAME PEER-ID`. Throws IdentityError. */
export async function addContactCommand(
  context: Context,
  name: string,
  peer: string,
): Promise<void> {
  using database = await openOwnDatabase(context.paths);
  const petname = parsePetname(name);
  const id = parsePeerId(peer);
  addContact(database, petname, id, context.clock.now());
  context.output.result(`${petname} is ${id}`, { name: petname, peer_id: id }, [
    { purpose: "use its MCP server", command: `talos mcp-connect ${petname}` },
  ]);
}

/** `talos contacts list`. */
export async function listContactsCommand(context: Context): Promise<void> {
  using database = await openOwnDatabase(context.paths);
  const all = contacts(database);
  context.output.result(
    all.length === 0
      ? "no contacts"
      : all.map(({ petname, peer }) => `${peer}  ${petname}`).join("\n"),
    all.map(({ petname, peer, addedAt }) => ({
      name: petname,
      peer_id: peer,
      added_at: new Date(addedAt).toISOString(),
    })),
    [{ purpose: "give a peer a name", command: "talos contacts add NAME PEER-ID" }],
  );
}

/** `talos contacts rename OLD NEW`. Throws IdentityError. */
export async function renameContactCommand(
  context: Context,
  from: string,
  to: string,
): Promise<void> {
  using database = await openOwnDatabase(context.paths);
  const name = parsePetname(to);
  const { petname: renamed, peer } = renameContact(database, parsePetname(from), name);
  context.output.result(`${renamed} is ${name} now`, { name, renamed, peer_id: peer }, [
    { purpose: "see all contacts", command: "talos contacts list" },
  ]);
}

/** `talos contacts remove NAME`. Throws IdentityError. */
export async function removeContactCommand(context: Context, name: string): Promise<void> {
  using database = await openOwnDatabase(context.paths);
  const { petname: removed, peer } = removeContact(database, parsePetname(name));
  context.output.result(`${removed} is no contact any more; its permissions are as they were`, {
    removed,
    peer_id: peer,
  }, [{ purpose: "see who may use what", command: "talos access list" }]);
}
