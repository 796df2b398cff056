/**
 * Fuzzes tickets: the bytes in them, as somebody makes them up who knows how to make a checksum. What is accepted
 * is written again as the very same line; the line with any one character changed is refused.
 */

import { base64url, type Bytes, concat, fromBase64url, utf8 } from "../../lib/bytes.ts";
import { sha256 } from "../../lib/crypto/sha256.ts";
import { IdentityError } from "../../lib/identity/errors.ts";
import { mcpService, parseServerName } from "../../lib/identity/names.ts";
import { publicKeyOf } from "../../lib/identity/peer_id.ts";
import {
  decodeTicket,
  encodeTicket,
  type Ticket,
  TICKET_LABEL,
} from "../../lib/identity/ticket.ts";
import { MAX_TICKET_CHARACTERS } from "../../lib/limits.ts";
import { accepted, check, checkSameText, type FuzzTarget } from "../fuzzing.ts";
import { seededIdentity } from "../seeded_identity.ts";

const { peerId: HOST } = seededIdentity("fuzzed host");
const { peerId: REGISTRY } = seededIdentity("fuzzed registry");
const CHECKSUM_BYTES = 4;

const TICKET: Ticket = {
  host: HOST,
  service: mcpService(parseServerName("default")),
  secret: new Uint8Array(16).fill(7),
  expires: 1_750_000_000_000,
  addresses: ["192.0.2.7", "2001:db8::7", "h.example"].map((host) => ({ host, port: 8766 })),
};

/** Tickets. The input is what stands before the checksum. */
export const ticket: FuzzTarget = {
  name: "ticket",
  errors: [IdentityError],
  dictionary: [
    publicKeyOf(HOST),
    publicKeyOf(REGISTRY),
    new Uint8Array(32),
    Uint8Array.of(254, 127, 0, 0, 1),
    Uint8Array.of(255),
    ...["default", "messages", "localhost", "[::1]", "127.1", "a:b", "\0", "É"].map(utf8),
  ],
  corpus: () =>
    [
      TICKET,
      { ...TICKET, service: mcpService(parseServerName("notes")), addresses: [] },
      {
        ...TICKET,
        addresses: [],
        registry: { id: REGISTRY, host: "198.51.100.9", port: 8765 },
        token: "correct-horse-battery-staple",
      },
      { ...TICKET, addresses: [], registry: { id: REGISTRY, host: "registry.example", port: 1 } },
    ].map((one) =>
      fromBase64url(encodeTicket(one).slice("talos:".length)).slice(0, -CHECKSUM_BYTES)
    ),
  run(input) {
    const line = sealed(input);
    const read = decodeTicket(line);
    check("it is short", line.length <= MAX_TICKET_CHARACTERS);
    check("its secret has 16 bytes", read.secret.length === 16);
    check("three addresses at most", read.addresses.length <= 3);
    for (const { host, port } of read.addresses) {
      check("an address can be dialled", /^[\x21-\x7e]{1,253}$/.test(host) && port >= 1);
    }
    checkSameText("written again", accepted("write", () => encodeTicket(read)), line);
    const at = "talos:".length + (input[0] ?? 0) % (line.length - "talos:".length);
    const altered = line.slice(0, at) + (line[at] === "A" ? "B" : "A") + line.slice(at + 1);
    check("an altered line is refused", refuses(altered));
  },
};

function sealed(bytes: Bytes): string {
  const checksum = sha256(utf8(TICKET_LABEL), Uint8Array.of(0), bytes).subarray(0, CHECKSUM_BYTES);
  return `talos:${base64url(concat(bytes, checksum))}`;
}

function refuses(line: string): boolean {
  try {
    decodeTicket(line);
    return false;
  } catch (error) {
    return error instanceof IdentityError && error.code === "ticket_invalid";
  }
}
