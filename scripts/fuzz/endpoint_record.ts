/** Fuzzes endpoint records as a peer with a key may sign them, and as one without it may send them. */

import { type Bytes, concat } from "../../lib/bytes.ts";
import { scopeOf } from "../../lib/identity/ip_address.ts";
import { mcpService, parseServerName } from "../../lib/identity/names.ts";
import {
  claimedPeerOf,
  type EndpointRecord,
  openEndpointRecord,
  signEndpointRecord,
} from "../../lib/wire/endpoint_record.ts";
import { WireError } from "../../lib/wire/errors.ts";
import { Label } from "../../lib/wire/labels.ts";
import { encode } from "../../lib/wire/msgpack.ts";
import { accepted, check, checkSameBytes, type FuzzTarget } from "../fuzzing.ts";
import { mutateMsgPack } from "../msgpack_mutation.ts";
import { seededIdentity } from "../seeded_identity.ts";

const OWNER = seededIdentity("fuzzed owner");
const OTHER = seededIdentity("fuzzed other");

const RECORD: EndpointRecord = {
  peer: OWNER.peerId,
  service: mcpService(parseServerName("default")),
  name: "Änna",
  instance: new Uint8Array(16).fill(7),
  addresses: ["192.0.2.7", "2001:db8::7", "10.0.0.1", "127.0.0.1"]
    .map((host) => ({ host, port: 8766 })),
  relays: ["registry.example.org:8765"],
  min: 1,
  max: 1,
  seq: 1_750_000_000_000,
  issuedAt: 1_750_000_000_000,
  ttlSeconds: 600,
};

/**
 * The input is a record's bytes. Its owner signs whatever they are: what is accepted is within its bounds
 * and stays as it is when it is written and read again. Nobody else's signature is ever accepted.
 */
export const endpointRecord: FuzzTarget = {
  name: "endpoint_record",
  errors: [WireError],
  dictionary: [
    ...["addresses", "relays", "seq", "ttl", "peer", OTHER.peerId, "messages", "mcp/a"],
    ...["[::]:1", "[::1]:1", "0.0.0.0:1", "127.1:1", "[::ffff:127.0.0.1]:1", "[fe80::1%lo]:1"],
  ].map((word) => encode(word)),
  mutate: (input, random) => mutateMsgPack(input, random),
  corpus: () =>
    [
      RECORD,
      { ...RECORD, addresses: [], relays: [], ttlSeconds: 0, name: "" },
      { ...RECORD, seq: 31_536_000_000, issuedAt: 0, ttlSeconds: 86_400 },
    ].map((record) => signEndpointRecord(OWNER, record).record),
  run(input) {
    accepted("read whose it says it is", () => claimedPeerOf(input));
    checkOnlyOwnerSigns(input);
    const written = rewrite(input);
    if (written === null) return;
    const again = accepted("write, read, write", () => rewrite(written));
    checkSameBytes("write, read, write", again ?? new Uint8Array(0), written);
  },
};

/**
 * Returns the bytes of the record that says what `input` says, once its owner has signed that; null where
 * its name lost characters: what stands in their place may make it longer than it may be.
 */
function rewrite(input: Bytes): Bytes | null {
  const signature = OWNER.sign(Label.endpointRecord, input);
  const record = openEndpointRecord(OWNER.peerId, { record: input, signature });
  checkBounds(record);
  if (record.name.includes("\ufffd")) return null;
  return accepted("sign again", () => signEndpointRecord(OWNER, record)).record;
}

function checkBounds(record: EndpointRecord): void {
  check("it is of its signer", record.peer === OWNER.peerId);
  check("8 addresses at most", record.addresses.length <= 8);
  for (const { host, port } of record.addresses) {
    check("an address can be reached", scopeOf(host) !== "unusable" && port >= 1 && port <= 65_535);
  }
  check("a version at least", record.min <= record.max && record.min >= 1);
  check("seq counts", Number.isSafeInteger(record.seq) && record.seq >= 1);
  check("a day at most", record.ttlSeconds >= 0 && record.ttlSeconds <= 86_400);
}

function checkOnlyOwnerSigns(record: Bytes): void {
  for (const signature of [OTHER.sign(Label.endpointRecord, record), new Uint8Array(64)]) {
    check("a foreign signature is refused", refuses(record, signature));
  }
  const extended = concat(record, Uint8Array.of(0));
  check(
    "a signature of other bytes is refused",
    refuses(extended, OWNER.sign(Label.endpointRecord, record)),
  );
}

function refuses(record: Bytes, signature: Bytes): boolean {
  try {
    openEndpointRecord(OWNER.peerId, { record, signature });
    return false;
  } catch (error) {
    return error instanceof WireError && error.code === "record_invalid";
  }
}
