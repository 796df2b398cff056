import assert from "node:assert/strict";
import { ed25519 } from "@noble/curves/ed25519.js";
import { type Bytes, concat, fromHex, hex, utf8 } from "../../lib/bytes.ts";
import { publicKeyOf } from "../../lib/identity/peer_id.ts";
import {
  claimedPeerOf,
  type EndpointRecord,
  openEndpointRecord,
  signedRecordOf,
  signEndpointRecord,
} from "../../lib/wire/endpoint_record.ts";
import { WireError, type WireErrorCode } from "../../lib/wire/errors.ts";
import { Fields } from "../../lib/wire/fields.ts";
import { Label } from "../../lib/wire/labels.ts";
import { decode, encode, type MsgPackInput } from "../../lib/wire/msgpack.ts";
import { seededIdentity } from "../../scripts/seeded_identity.ts";
import { endpoint } from "../registry/raw_client.ts";

const ANNA = seededIdentity("anna");
const BEN = seededIdentity("ben");
const INSTANCE = fromHex("000102030405060708090a0b0c0d0e0f");

const RECORD: EndpointRecord = endpoint(ANNA, {
  name: "Anna",
  instance: INSTANCE,
  addresses: [{ host: "192.0.2.7", port: 8766 }, { host: "2001:db8::7", port: 65_535 }],
  relays: ["registry.example.org:8765"],
  seq: 1_750_000_000_000,
  issuedAt: 1_750_000_000_000,
  ttlSeconds: 600,
});

/** The fields as they are in the bytes. */
const FIELDS: Readonly<Record<string, MsgPackInput>> = {
  peer: ANNA.peerId,
  service: "mcp/default",
  name: "Anna",
  instance: INSTANCE,
  addresses: ["192.0.2.7:8766", "[2001:db8::7]:65535"],
  relays: ["registry.example.org:8765"],
  min: 1,
  max: 1,
  seq: 1_750_000_000_000,
  issued_at: 1_750_000_000_000,
  ttl: 600,
};

function ascii(text: string): string {
  return hex(utf8(text));
}

/** Returns what ANNA signs, whatever it is. */
function signed(record: Bytes) {
  return { record, signature: ANNA.sign(Label.endpointRecord, record) };
}

function signedFields(changes: Readonly<Record<string, MsgPackInput | undefined>>) {
  return signed(encode({ ...FIELDS, ...changes }));
}

function refused(work: () => unknown, code: WireErrorCode): string {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof WireError, String(error));
    assert.equal(error.code, code, error.message);
    return error.message;
  }
  assert.fail("it was taken");
}

Deno.test("an endpoint record has its golden bytes", () => {
  const { record, signature } = signEndpointRecord(ANNA, RECORD);
  assert.equal(
    hex(record),
    "8b" + // a map of 11
      "a4" + ascii("peer") + "d930" + ascii(ANNA.peerId) +
      "a7" + ascii("service") + "ab" + ascii("mcp/default") +
      "a4" + ascii("name") + "a4" + ascii("Anna") +
      "a8" + ascii("instance") + "c410" + "000102030405060708090a0b0c0d0e0f" +
      "a9" + ascii("addresses") + "92" + "ae" + ascii("192.0.2.7:8766") +
      "b3" + ascii("[2001:db8::7]:65535") +
      "a6" + ascii("relays") + "91" + "b9" + ascii("registry.example.org:8765") +
      "a3" + ascii("min") + "01" +
      "a3" + ascii("max") + "01" +
      "a3" + ascii("seq") + "cf" + "000001977420dc00" +
      "a9" + ascii("issued_at") + "cf" + "000001977420dc00" +
      "a3" + ascii("ttl") + "cd0258",
  );
  assert.deepEqual(openEndpointRecord(ANNA.peerId, { record, signature }), RECORD);
  assert.equal(claimedPeerOf(record), ANNA.peerId);
});

Deno.test("an endpoint record is signed as the label, NUL and its exact bytes", () => {
  const { record, signature } = signEndpointRecord(ANNA, RECORD);
  const message = concat(utf8("talos/1 endpoint record"), Uint8Array.of(0), record);
  assert.equal(ed25519.verify(signature, message, publicKeyOf(ANNA.peerId)), true);
});

Deno.test("signEndpointRecord() signs for nobody else", () => {
  assert.throws(() => signEndpointRecord(BEN, RECORD), TypeError);
});

Deno.test("openEndpointRecord() refuses a record when one bit of it or of its signature is another", () => {
  const { record, signature } = signEndpointRecord(ANNA, RECORD);
  for (let bit = 0; bit < record.length * 8; bit++) {
    const altered = record.slice();
    altered[bit >> 3]! ^= 1 << (bit & 7);
    refused(
      () => openEndpointRecord(ANNA.peerId, { record: altered, signature }),
      "record_invalid",
    );
  }
  for (let bit = 0; bit < signature.length * 8; bit++) {
    const altered = signature.slice();
    altered[bit >> 3]! ^= 1 << (bit & 7);
    refused(
      () => openEndpointRecord(ANNA.peerId, { record, signature: altered }),
      "record_invalid",
    );
  }
});

Deno.test("openEndpointRecord() refuses a record when it was signed for something else, or by somebody else", () => {
  const { record } = signEndpointRecord(ANNA, RECORD);
  for (
    const signature of [
      ANNA.sign(Label.handshakeInitiator, record),
      BEN.sign(Label.endpointRecord, record),
      new Uint8Array(64),
      new Uint8Array(0),
    ]
  ) {
    const message = refused(
      () => openEndpointRecord(ANNA.peerId, { record, signature }),
      "record_invalid",
    );
    assert.equal(message, "Cannot accept the endpoint record: its signature does not verify");
  }
});

Deno.test("openEndpointRecord() refuses a record of somebody else when the expected peer signed it", () => {
  const message = refused(
    () => openEndpointRecord(ANNA.peerId, signedFields({ peer: BEN.peerId })),
    "record_invalid",
  );
  assert.equal(
    message,
    `Cannot accept the endpoint record: it is of ${BEN.peerId}, not of ${ANNA.peerId}`,
  );
});

Deno.test("openEndpointRecord() refuses a record of more than 2,048 bytes before it looks at it", () => {
  const padding = 2_048 - encode({ ...FIELDS, padding: "" }).length - 2;
  const longest = signedFields({ padding: "x".repeat(padding) });
  assert.equal(longest.record.length, 2_048);
  assert.deepEqual(openEndpointRecord(ANNA.peerId, longest), RECORD);
  const message = refused(
    () => openEndpointRecord(ANNA.peerId, signedFields({ padding: "x".repeat(padding + 1) })),
    "record_invalid",
  );
  assert.match(message, /it has 2049 bytes, the limit is 2048/);
});

for (
  const [what, changes] of [
    ["no addresses", { addresses: [] }],
    ["8 addresses", { addresses: Array.from({ length: 8 }, (_, i) => `10.0.0.${i}:1`) }],
    ["a loopback address, which a registry decides about", { addresses: ["127.0.0.1:1"] }],
    ["4 relays", { relays: ["a:1", "b:1", "c:1", "d:1"] }],
    ["a withdrawal", { ttl: 0 }],
    ["the longest life", { ttl: 86_400 }],
    ["a seq a year ahead of its time", { seq: 1_750_000_000_000 + 31_536_000_000 }],
    ["a seq behind its time", { seq: 1 }],
    ["the latest date, and the greatest seq there", {
      issued_at: 8_640_000_000_000_000,
      seq: 8_640_031_536_000_000,
    }],
    ["the service of messages", { service: "messages" }],
    ["versions to come", { min: 1, max: 255 }],
    ["a field of a later version", { weight: 3 }],
  ] as const
) {
  Deno.test(`openEndpointRecord() takes ${what}`, () => {
    openEndpointRecord(ANNA.peerId, signedFields(changes));
  });
}

for (
  const [what, changes, code] of [
    ["no peer", { peer: undefined }, "field_missing"],
    ["a peer that is none", { peer: "z6Mk" }, "record_invalid"],
    ["a service that is none", { service: "mcp/" }, "record_invalid"],
    ["a service of the reserved name", { service: "talos/control" }, "record_invalid"],
    ["a name of 65 bytes", { name: "x".repeat(65) }, "field_invalid"],
    ["an instance of 15 bytes", { instance: new Uint8Array(15) }, "field_invalid"],
    ["9 addresses", { addresses: Array.from({ length: 9 }, () => "10.0.0.1:1") }, "field_invalid"],
    ["a host name for an address", { addresses: ["example.org:1"] }, "record_invalid"],
    ["an address without a port", { addresses: ["10.0.0.1"] }, "record_invalid"],
    ["port 0", { addresses: ["10.0.0.1:0"] }, "record_invalid"],
    ["port 65,536", { addresses: ["10.0.0.1:65536"] }, "record_invalid"],
    ["an address in an old notation", { addresses: ["0x7f000001:1"] }, "record_invalid"],
    ["an address with a zone", { addresses: ["[fe80::1%eth0]:1"] }, "record_invalid"],
    ["the unspecified address", { addresses: ["0.0.0.0:1"] }, "record_invalid"],
    ["the unspecified IPv6 address", { addresses: ["[::]:1"] }, "record_invalid"],
    ["a multicast address", { addresses: ["224.0.0.1:1"] }, "record_invalid"],
    ["an IPv6 multicast address", { addresses: ["[ff02::1]:1"] }, "record_invalid"],
    ["the broadcast address", { addresses: ["255.255.255.255:1"] }, "record_invalid"],
    ["an address of 65 bytes", { addresses: ["1".repeat(65)] }, "field_invalid"],
    ["5 relays", { relays: ["a:1", "b:1", "c:1", "d:1", "e:1"] }, "field_invalid"],
    ["a relay of 257 bytes", { relays: ["x".repeat(257)] }, "field_invalid"],
    ["version 0", { min: 0 }, "field_invalid"],
    ["version 256", { max: 256 }, "field_invalid"],
    ["versions the wrong way round", { min: 3, max: 2 }, "record_invalid"],
    ["seq 0", { seq: 0 }, "field_invalid"],
    ["no seq", { seq: undefined }, "field_missing"],
    ["a seq more than a year ahead of its time", { seq: 1_781_536_000_001 }, "record_invalid"],
    ["the greatest seq", { seq: Number.MAX_SAFE_INTEGER }, "record_invalid"],
    ["a date that no Date holds", { issued_at: 8_640_000_000_000_001 }, "field_invalid"],
    ["a life of more than a day", { ttl: 86_401 }, "field_invalid"],
    ["a negative life", { ttl: -1 }, "field_invalid"],
    ["a negative date", { issued_at: -1 }, "field_invalid"],
  ] as const
) {
  Deno.test(`openEndpointRecord() refuses ${what}, though it is signed`, () => {
    refused(() => openEndpointRecord(ANNA.peerId, signedFields(changes)), code);
  });
}

Deno.test("openEndpointRecord() refuses what is signed and no record", () => {
  refused(() => openEndpointRecord(ANNA.peerId, signed(fromHex("c1"))), "msgpack_unsupported_type");
  refused(() => openEndpointRecord(ANNA.peerId, signed(fromHex("90"))), "field_invalid");
  refused(() => openEndpointRecord(ANNA.peerId, signed(new Uint8Array(0))), "msgpack_truncated");
});

Deno.test("openEndpointRecord() takes control characters out of a name", () => {
  const { name } = openEndpointRecord(ANNA.peerId, signedFields({ name: "\u001b[2JAnna" }));
  assert.equal(name, "\ufffd[2JAnna");
});

Deno.test("claimedPeerOf() reads a peer without any proof, and null from what is none", () => {
  assert.equal(claimedPeerOf(encode({ peer: BEN.peerId })), BEN.peerId);
  const others = [new Uint8Array(0), fromHex("c1"), encode({}), encode({ peer: "x" }), encode(7)];
  for (const record of others) assert.equal(claimedPeerOf(record), null);
  const tooLong = encode({ peer: BEN.peerId, padding: "x".repeat(2_048) });
  assert.equal(claimedPeerOf(tooLong), null);
});

Deno.test("signedRecordOf() reads a record of at most 2,048 bytes and a signature of 64", () => {
  const of = (record: number, signature: number) =>
    signedRecordOf(
      new Fields(
        decode(encode({
          record: new Uint8Array(record),
          signature: new Uint8Array(signature),
        })),
        "X",
      ),
    );
  assert.equal(of(2_048, 64).record.length, 2_048);
  refused(() => of(2_049, 64), "field_invalid");
  refused(() => of(1, 63), "field_invalid");
  refused(() => of(1, 65), "field_invalid");
});
