/**
 * Contacts: what we call other peers. A name stands for a contact of ours and for nobody else: what peers
 * call themselves, at a registry or in a record, never decides who is meant.
 */

import type { Database, SqlRow } from "./database.ts";
import { IdentityError } from "./errors.ts";
import { isIpLiteral } from "./ip_address.ts";
import { parsePetname, type Petname } from "./names.ts";
import type { PeerReference } from "./peer_address.ts";
import { parsePeerId, type PeerId, shortPeerId } from "./peer_id.ts";
import { nearestName } from "./similar_name.ts";
import { suggestedPetname } from "./suggested_petname.ts";

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

/**
 * Adds a contact. Throws IdentityError "contact_exists" when the name, in whatever case, or the peer has one
 * already.
 */
export function addContact(db: Database, petname: Petname, peer: PeerId, now: number): void {
  db.transaction(() => {
    const taken = contacts(db).find((known) =>
      known.peer === peer || isSameName(known.petname, petname)
    );
    if (taken !== undefined) {
      const { petname: name, peer: who } = taken;
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

/**
 * Returns what we call `peer`; where that is nothing yet, adds it as a contact with a name like `called`, which is what
 * it calls itself.
 */
export function introduceContact(db: Database, called: string, peer: PeerId, now: number): Petname {
  return db.transaction(() => {
    const known = petnameOf(db, peer);
    if (known !== undefined) return known;
    const petname = suggestedPetname(called, peer, contacts(db).map((contact) => contact.petname));
    db.run("INSERT INTO contacts VALUES (?, ?, ?, ?)", db.owner, petname, peer, now);
    return petname;
  });
}

/**
 * Gives a contact another name and returns it as it was. Throws IdentityError "contact_unknown" or
 * "contact_exists".
 */
export function renameContact(db: Database, from: Petname, to: Petname): Contact {
  return db.transaction(() => {
    const before = contactNamed(db, from);
    const taken = contacts(db).find(({ petname, peer }) =>
      peer !== before.peer && isSameName(petname, to)
    );
    if (taken !== undefined) {
      throw new IdentityError(
        "contact_exists",
        `There is a contact named ${taken.petname} already: ${taken.peer}`,
        { hints: [`remove it: talos contacts remove ${taken.petname}`, "or choose another name"] },
      );
    }
    db.run(
      "UPDATE contacts SET petname = ? WHERE owner = ? AND petname = ?",
      to,
      db.owner,
      before.petname,
    );
    return before;
  });
}

/** Removes a contact and returns it. Throws IdentityError "contact_unknown". */
export function removeContact(db: Database, petname: Petname): Contact {
  return db.transaction(() => {
    const contact = contactNamed(db, petname);
    db.run("DELETE FROM contacts WHERE owner = ? AND petname = ?", db.owner, contact.petname);
    return contact;
  });
}

/**
 * Returns the peer that `reference` means: a whole Peer ID, or a contact by its name or by the beginning
 * of its Peer ID. Throws IdentityError "contact_unknown", and "contact_ambiguous" for a beginning that
 * several contacts share.
 */
export function resolvePeer(db: Database, reference: PeerReference): PeerId {
  if (reference.kind === "id") return reference.id;
  const { text } = reference;
  if (reference.kind === "petname") return contactNamed(db, text).peer;
  const matches = contacts(db).filter(({ peer }) => peer.startsWith(text));
  const [match, ...others] = matches;
  if (match === undefined) throw unknownContact(text, []);
  if (others.length === 0) return match.peer;
  const names = matches.map(({ petname, peer }) => `${petname} (${shortPeerId(peer)})`).join(", ");
  throw new IdentityError("contact_ambiguous", `Several contacts begin with ${text}: ${names}`);
}

/** Names that differ in case alone are one: nobody remembers which was typed first. */
function isSameName(a: string, b: string): boolean {
  return folded(a) === folded(b);
}

function folded(name: string): string {
  return name.normalize("NFKC").toLowerCase();
}

/** Returns the contact of exactly this name, else the one of this name in another case. */
function contactNamed(db: Database, name: string): Contact {
  const all = contacts(db);
  const contact = all.find(({ petname }) => petname === name) ??
    all.find(({ petname }) => isSameName(petname, name));
  if (contact === undefined) throw unknownContact(name, all.map(({ petname }) => petname));
  return contact;
}

function unknownContact(name: string, known: readonly string[]): IdentityError {
  if (isAddress(name)) {
    return new IdentityError("contact_unknown", `No contact is "${name}": that is an address`, {
      hints: [`say who is there, too: PEER-ID@${name}`],
    });
  }
  const near = nearestName(name, known);
  return new IdentityError("contact_unknown", `No contact is "${name}"`, {
    hints: [
      ...(near === undefined ? [] : [`did you mean ${near}?`]),
      "see those there are: talos contacts list",
      "or write the whole Peer ID; see who is registered: talos peers",
    ],
  });
}

/** Tells whether `text` is an IP address, or has a port. */
function isAddress(text: string): boolean {
  return isIpLiteral(text) || /^[^:]+:\d{1,5}$/.test(text) || /^\[.*\](?::\d{1,5})?$/.test(text);
}

function contactOf(row: SqlRow): Contact {
  return {
    petname: parsePetname(String(row["petname"])),
    peer: parsePeerId(String(row["peer"])),
    addedAt: Number(row["added_at"]),
  };
}
