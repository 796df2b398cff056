/**
 * `PEER[/SERVICE][@HOST:PORT]`: how a peer, one of its services and where it listens are written.
 *
 * The peer is a Peer ID, or text that only the local contacts can resolve (a petname, or the beginning
 * of a Peer ID); nothing here asks them. No petname has `/` or `@`, so the three parts never mix.
 */

import { type HostPort, parseHostPort } from "./host_port.ts";
import { foldServerName, parsePetname, parseTypedService, type ServiceName } from "./names.ts";
import {
  DID_KEY_PREFIX,
  parsePeerId,
  PEER_ID_CHARACTERS,
  PEER_ID_START,
  type PeerId,
} from "./peer_id.ts";
import { printable } from "../log.ts";
import { IdentityError } from "./errors.ts";

/** Who is meant. */
export type PeerReference =
  /** A whole Peer ID. */
  | { readonly kind: "id"; readonly id: PeerId }
  /** The beginning of a Peer ID: `z6Mk` and 8 to 43 base58 characters. */
  | { readonly kind: "prefix"; readonly text: string }
  /** A petname. */
  | { readonly kind: "petname"; readonly text: string };

/** A peer and, where given, a service of it and where to find it. */
export interface PeerAddress {
  /** Who. */
  readonly peer: PeerReference;
  /** Which of its services, in the wire form. */
  readonly service?: ServiceName;
  /** Where it listens; no registry is needed then. */
  readonly address?: HostPort;
}

const MIN_PREFIX_CHARACTERS = PEER_ID_START.length + 8;
const PREFIX = /^z6Mk[1-9A-HJ-NP-Za-km-z]*$/;

/**
 * Returns the parts of `PEER[/SERVICE][@HOST:PORT]`.
 *
 * @param defaultPort The port where the address has none; without it a missing port is an error.
 * Throws IdentityError "address_invalid", "peer_id_invalid" or "name_invalid".
 */
export function parsePeerAddress(text: string, defaultPort?: number): PeerAddress {
  const at = text.indexOf("@");
  const who = at < 0 ? text : text.slice(0, at);
  const slash = who.indexOf("/");
  const peer = parsePeerReference(slash < 0 ? who : who.slice(0, slash));
  return {
    peer,
    ...(slash < 0 ? {} : { service: serviceBehind(who.slice(0, slash), who.slice(slash + 1)) }),
    ...(at < 0 ? {} : { address: parseHostPort(text.slice(at + 1), defaultPort) }),
  };
}

/** Reads a service; a name that is none is answered with how it is probably written. */
function serviceBehind(peer: string, text: string): ServiceName {
  try {
    return parseTypedService(text);
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error;
    const meant = foldServerName(text);
    throw error.advise(
      meant === null
        ? `write PEER/SERVICE, or the peer alone: ${printable(peer, 80)}`
        : `names of services are lower case; perhaps this is meant: ${
          printable(peer, 80)
        }/${meant}`,
    );
  }
}

/** Returns whom `text` means. Throws IdentityError "peer_id_invalid" or "name_invalid". */
export function parsePeerReference(text: string): PeerReference {
  if (text === "") {
    throw new IdentityError("address_invalid", "Cannot read the peer: it is empty", {
      hints: ["write PEER, PEER/SERVICE or PEER/SERVICE@HOST:PORT"],
    });
  }
  if (text.startsWith(DID_KEY_PREFIX) || looksWhole(text)) {
    return { kind: "id", id: parsePeerId(text) };
  }
  if (!text.startsWith(PEER_ID_START)) return { kind: "petname", text: parsePetname(text) };
  if (text.length < MIN_PREFIX_CHARACTERS || !PREFIX.test(text)) {
    throw new IdentityError(
      "peer_id_invalid",
      PREFIX.test(text)
        ? `Cannot read the beginning of a Peer ID: it has ${text.length} characters, at least ` +
          `${MIN_PREFIX_CHARACTERS} are needed`
        : "Cannot read the beginning of a Peer ID: it has a character that no Peer ID has",
      { hints: ["write the whole Peer ID, or the name of a contact: talos contacts list"] },
    );
  }
  return { kind: "prefix", text };
}

/** Tells whether `text` is meant as a whole Peer ID, so that a typing error gets a precise answer. */
function looksWhole(text: string): boolean {
  return text.startsWith(PEER_ID_START) && text.length >= PEER_ID_CHARACTERS;
}
