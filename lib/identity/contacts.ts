/**
 * Contacts: what we call other peers. A name stands for a contact of ours and for nobody else: what peers
 * call themselves, at a registry or in a record, never decides who is meant.
 */

import type { Database, SqlRow } from "./database.ts";
import { IdentityError } from "./errors.ts";
import { parsePetname, type Petname } from "./names.ts";
import type { PeerReference } from "./peer_address.ts";
import { parsePeerId, type PeerId, shortPeerId } from "./peer_id.ts";

/** A peer with a name of ours. */
export interface Contact {
  /** What we call it. */
  readonly petname: Petname;
  /** Who it is. */
  readonly peer: PeerId;
  /** When it was added, Unix time in milliseconds. */
  readonly addedAt: number;
}

/** Returns all contacts, by name. */
export function contacts(db: Database): Contact[] {
  return db.rows("SELECT * FROM contacts WHERE owner = ? ORDER BY petname", db.owner).map(
    contactOf,
  );
}

/** Returns what we call `peer`, or undefined. */
export function petnameOf(db: Database, peer: PeerId): Petname | undefined {
  const row = db.row("SELECT * FROM contacts WHERE owner = ? AND peer = ?", db.owner, peer);
  return row === undefined ? undefined : contactOf(row).petname;
}

/** Adds a contact. Throws IdentityError "contact_exists" when the name or the peer has one already. */
export function addContact(db: Database, petname: Petname, peer: PeerId, now: number): void {
  db.transaction(() => {
    const taken = db.row(
      "SELECT * FROM contacts WHERE owner = ? AND (petname = ? OR peer = ?)",
      db.owner,
      petname,
      peer,
    );
    if (taken !== undefined) {
      const { petname: name, peer: who } = contactOf(taken);
      throw new IdentityError("contact_exists", `There is a contact already: ${name} is ${who}`, {
        hints: [
          `rename it: talos contacts rename ${name} NEW-NAME`,
          `remove it: talos contacts remove ${name}`,
        ],
      });
    }
    db.run("INSERT INTO contacts VALUES (?, ?, ?, ?)", db.owner, petname, peer, now);
  });
}

/** Gives a contact another name. Throws IdentityError "contact_unknown" or "contact_exists". */
export function renameContact(db: Database, from: Petname, to: Petname): void {
  db.transaction(() => {
    const taken = db.row("SELECT 1 FROM contacts WHERE owner = ? AND petname = ?", db.owner, to);
    if (taken !== undefined) {
      throw new IdentityError("contact_exists", `There is a contact named ${to} already`);
    }
    const changed = db.run(
      "UPDATE contacts SET petname = ? WHERE owner = ? AND petname = ?",
      to,
      db.owner,
      from,
    );
    if (changed === 0) throw unknownContact(from);
  });
}

/** Removes a contact. Throws IdentityError "contact_unknown". */
export function removeContact(db: Database, petname: Petname): void {
  const removed = db.transaction(() =>
    db.run("DELETE FROM contacts WHERE owner = ? AND petname = ?", db.owner, petname)
  );
  if (removed === 0) throw unknownContact(petname);
}

/**
 * Returns the peer that `reference` means: a whole Peer ID, or a contact by its name or by the beginning
 * of its Peer ID. Throws IdentityError "contact_unknown", and "contact_ambiguous" for a beginning that
 * several contacts share.
 */
export function resolvePeer(db: Database, reference: PeerReference): PeerId {
  if (reference.kind === "id") return reference.id;
  const { text } = reference;
  const matches = contacts(db).filter(({ petname, peer }) =>
    reference.kind === "petname" ? petname === text : peer.startsWith(text)
  );
  const [match, ...others] = matches;
  if (match === undefined) throw unknownContact(text);
  if (others.length === 0) return match.peer;
  const names = matches.map(({ petname, peer }) => `${petname} (${shortPeerId(peer)})`).join(", ");
  throw new IdentityError("contact_ambiguous", `Several contacts begin with ${text}: ${names}`);
}

function unknownContact(name: string): IdentityError {
  return new IdentityError("contact_unknown", `No contact is "${name}"`, {
    hints: [
      "talos contacts list shows those there are; talos contacts add NAME PEER-ID adds one",
      "or write the whole Peer ID: `talos peers` shows who is registered",
    ],
  });
}

function contactOf(row: SqlRow): Contact {
  return {
    petname: parsePetname(String(row["petname"])),
    peer: parsePeerId(String(row["peer"])),
    addedAt: Number(row["added_at"]),
  };
}
