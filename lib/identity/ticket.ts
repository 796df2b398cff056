/**
 * Tickets: all that a machine needs to find a host and to prove that it was invited, in one line.
 *
 *     talos: base64url of
 *      0   version, 1
 *      1   flags: number of addresses (bits 0 and 1), registry (bit 2), join token (bit 3)
 *      2   host's Ed25519 key (32)
 *     34   secret (16)
 *     50   end, Unix seconds (u32)
 *     54   server's name: length (u8; 0 is `default`) ‖ text
 *          registry: its Ed25519 key (32) ‖ place
 *          addresses, best first: a place each
 *          join token: length (u8) ‖ visible ASCII
 *          checksum (4): of SHA-256(label ‖ 0x00 ‖ all before)
 *
 * A place is `u8 ‖ host ‖ u16 port`: the first byte is 254 before an IPv4 address, 255 before an IPv6 one, else the
 * length of a name. What is read is exactly what would be written again. The checksum tells a slip of the hand from a
 * ticket that is no good; it proves nothing, the host does. Whoever has a ticket may use it: it is a secret. Pure.
 */

import {
  base64url,
  type Bytes,
  concat,
  equalBytes,
  fromBase64url,
  fromUtf8,
  utf8,
} from "../bytes.ts";
import { branded } from "../crypto/brand.ts";
import { ED25519_PUBLIC_KEY_BYTES, isSafeEd25519PublicKey } from "../crypto/ed25519.ts";
import { sha256 } from "../crypto/sha256.ts";
import { MAX_TICKET_ADDRESSES, MAX_TICKET_CHARACTERS } from "../limits.ts";
import { IdentityError } from "./errors.ts";
import { formatHostPort, type HostPort, parseHostPort } from "./host_port.ts";
import { ipBytes, ipText, IPV4_BYTES, IPV6_BYTES } from "./ip_bytes.ts";
import {
  DEFAULT_SERVER,
  mcpService,
  parseServerName,
  serverOf,
  type ServiceName,
} from "./names.ts";
import { type PeerId, peerIdOf, publicKeyOf } from "./peer_id.ts";

/** How every ticket begins. */
export const TICKET_PREFIX = "talos:";

/** What its checksum is over, beside its bytes: see `wire/labels.ts`. */
export const TICKET_LABEL = "talos/1 ticket";

/** The size of a ticket's secret. */
export const TICKET_SECRET_BYTES = 16;

/** What a ticket says. */
export interface Ticket {
  /** Whose service it is for. */
  readonly host: PeerId;
  /** The MCP server that its holder will be allowed to use. */
  readonly service: ServiceName;
  /** {@link TICKET_SECRET_BYTES} random bytes that nobody else has. */
  readonly secret: Bytes;
  /** The first moment at which it does not hold any more, Unix time in milliseconds; whole seconds. */
  readonly expires: number;
  /** A registry that knows the host, and its key. */
  readonly registry?: HostPort & { readonly id: PeerId };
  /** Where the host listens, best first: at most {@link MAX_TICKET_ADDRESSES}. */
  readonly addresses: readonly HostPort[];
  /** The token of a private registry: 1 to 255 visible ASCII characters. */
  readonly token?: string;
}

const VERSION = 1;
const ADDRESS_MASK = 0b0011;
const REGISTRY_FLAG = 0b0100;
const TOKEN_FLAG = 0b1000;
const KNOWN_FLAGS = ADDRESS_MASK | REGISTRY_FLAG | TOKEN_FLAG;
const CHECKSUM_BYTES = 4;
const IPV4_PLACE = 254;
const IPV6_PLACE = 255;
const NUL = Uint8Array.of(0);
const VISIBLE_ASCII = /^[\x21-\x7e]{1,255}$/;
const MAX_EXPIRES_S = 2 ** 32 - 1;

/**
 * Returns the one line of a ticket. Throws IdentityError "ticket_too_long", and TypeError for what no ticket may say.
 */
export function encodeTicket(ticket: Ticket): string {
  const bytes = ticketBytes(ticket);
  const text = TICKET_PREFIX + base64url(concat(bytes, checksum(bytes)));
  if (text.length <= MAX_TICKET_CHARACTERS) return text;
  throw new IdentityError(
    "ticket_too_long",
    `Cannot make a ticket: it would have ${text.length} characters, the limit is ${MAX_TICKET_CHARACTERS}`,
    { hints: ["name the registry by its IP address, or give the service a shorter name"] },
  );
}

/** Returns what a ticket says. Throws IdentityError "ticket_invalid". White space in it is passed over: mail breaks lines. */
export function decodeTicket(text: string): Ticket {
  const line = text.replace(/\s+/g, "");
  if (!line.startsWith(TICKET_PREFIX)) throw invalid(`it does not begin with "${TICKET_PREFIX}"`);
  if (line.length > MAX_TICKET_CHARACTERS) {
    throw invalid(
      `it has ${line.length} characters, a ticket has at most ${MAX_TICKET_CHARACTERS}`,
    );
  }
  const all = bytesIn(line.slice(TICKET_PREFIX.length));
  const bytes = all.subarray(0, Math.max(0, all.length - CHECKSUM_BYTES));
  if (!equalBytes(checksum(bytes), all.subarray(bytes.length))) throw altered();
  const [version] = bytes;
  if (version !== VERSION) {
    throw invalid(`it has version ${version}, this program knows version ${VERSION}`, [
      "update Talos here",
    ]);
  }
  const ticket = ticketIn(new Reader(bytes));
  if (!equalBytes(ticketBytes(ticket), bytes)) throw contradictory();
  return ticket;
}

function ticketBytes(
  { host, service, secret, expires, registry, addresses, token }: Ticket,
): Bytes {
  const server = serverOf(service);
  if (server === null) throw new TypeError("Cannot make a ticket: it is for MCP servers alone");
  if (secret.length !== TICKET_SECRET_BYTES) {
    throw new TypeError(`Cannot make a ticket: its secret has ${secret.length} bytes`);
  }
  if (addresses.length > MAX_TICKET_ADDRESSES) {
    throw new TypeError(`Cannot make a ticket: there are ${addresses.length} addresses`);
  }
  if (token !== undefined && !VISIBLE_ASCII.test(token)) {
    throw new TypeError("Cannot make a ticket: the join token is not 1 to 255 visible characters");
  }
  const seconds = expires / 1000;
  if (!Number.isInteger(seconds) || seconds < 0 || seconds > MAX_EXPIRES_S) {
    throw new TypeError("Cannot make a ticket: its end is no whole second of its century");
  }
  const flags = addresses.length | (registry === undefined ? 0 : REGISTRY_FLAG) |
    (token === undefined ? 0 : TOKEN_FLAG);
  const end = new Uint8Array(4);
  new DataView(end.buffer).setUint32(0, seconds);
  return concat(
    Uint8Array.of(VERSION, flags),
    publicKeyOf(host),
    secret,
    end,
    withLength(utf8(server === DEFAULT_SERVER ? "" : server)),
    ...(registry === undefined ? [] : [publicKeyOf(registry.id), placeBytes(registry)]),
    ...addresses.map(placeBytes),
    ...(token === undefined ? [] : [withLength(utf8(token))]),
  );
}

function ticketIn(reader: Reader): Ticket {
  reader.byte(); // the version
  const flags = reader.byte();
  if ((flags & ~KNOWN_FLAGS) !== 0) throw contradictory();
  const host = reader.peer();
  const secret = reader.take(TICKET_SECRET_BYTES).slice();
  const expires = reader.uint32() * 1000;
  const service = reader.service();
  const registry = (flags & REGISTRY_FLAG) === 0
    ? undefined
    : { id: reader.peer(), ...reader.place() };
  const addresses = Array.from({ length: flags & ADDRESS_MASK }, () => reader.place());
  const token = (flags & TOKEN_FLAG) === 0 ? undefined : reader.token();
  reader.end();
  return {
    host,
    service,
    secret,
    expires,
    ...(registry === undefined ? {} : { registry }),
    addresses,
    ...(token === undefined ? {} : { token }),
  };
}

/** Takes a ticket's bytes apart, from the first to the last. Throws IdentityError "ticket_invalid". */
class Reader {
  readonly #bytes: Bytes;
  #at = 0;

  constructor(bytes: Bytes) {
    this.#bytes = bytes;
  }

  take(length: number): Bytes {
    const end = this.#at + length;
    if (end > this.#bytes.length) throw contradictory();
    const taken = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return taken;
  }

  byte(): number {
    return this.take(1)[0] ?? 0;
  }

  uint16(): number {
    return (this.byte() << 8) | this.byte();
  }

  uint32(): number {
    return this.uint16() * 2 ** 16 + this.uint16();
  }

  peer(): PeerId {
    const key = this.take(ED25519_PUBLIC_KEY_BYTES).slice();
    if (!isSafeEd25519PublicKey(key)) throw contradictory();
    return peerIdOf(branded(key));
  }

  text(length: number): string {
    try {
      return fromUtf8(this.take(length));
    } catch (error) {
      throw error instanceof IdentityError ? error : contradictory(error);
    }
  }

  service(): ServiceName {
    const name = this.text(this.byte());
    try {
      return mcpService(name === "" ? DEFAULT_SERVER : parseServerName(name));
    } catch (error) {
      throw contradictory(error);
    }
  }

  place(): HostPort {
    const kind = this.byte();
    if (kind === IPV4_PLACE) return { host: ipText(this.take(IPV4_BYTES)), port: this.port() };
    if (kind === IPV6_PLACE) return { host: ipText(this.take(IPV6_BYTES)), port: this.port() };
    const host = this.text(kind);
    const place = { host, port: this.port() };
    if (!isName(place)) throw contradictory();
    return place;
  }

  port(): number {
    const port = this.uint16();
    if (port === 0) throw contradictory();
    return port;
  }

  token(): string {
    const token = this.text(this.byte());
    if (!VISIBLE_ASCII.test(token)) throw contradictory();
    return token;
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw contradictory();
  }
}

function placeBytes(place: HostPort): Bytes {
  const { host, port } = place;
  const address = ipBytes(host);
  if (address === null && !isName(place)) {
    throw new TypeError("Cannot make a ticket: an address is neither a name nor an IP address");
  }
  const named = address === null
    ? withLength(utf8(host))
    : concat(Uint8Array.of(address.length === IPV4_BYTES ? IPV4_PLACE : IPV6_PLACE), address);
  return concat(named, Uint8Array.of(port >> 8, port & 0xff));
}

/** Tells whether the host is a name, as people may write it, and the port one. */
function isName(place: HostPort): boolean {
  if (place.host.includes(":") || ipBytes(place.host) !== null) return false;
  try {
    parseHostPort(formatHostPort(place));
    return true;
  } catch {
    return false;
  }
}

function withLength(bytes: Bytes): Bytes {
  return concat(Uint8Array.of(bytes.length), bytes);
}

function checksum(bytes: Uint8Array): Bytes {
  return sha256(utf8(TICKET_LABEL), NUL, bytes).subarray(0, CHECKSUM_BYTES);
}

function bytesIn(text: string): Bytes {
  try {
    return fromBase64url(text);
  } catch {
    throw altered();
  }
}

function altered(): IdentityError {
  return invalid("it was altered or cut on its way");
}

/** For what has the right checksum and still makes no sense: somebody made it so. */
function contradictory(cause?: unknown): IdentityError {
  return invalid("it says what no ticket says", undefined, cause);
}

function invalid(state: string, hints?: readonly string[], cause?: unknown): IdentityError {
  return new IdentityError("ticket_invalid", `Cannot read the ticket: ${state}`, {
    cause,
    hints: hints ?? [`copy the whole line, from "${TICKET_PREFIX}" to its end`],
  });
}
