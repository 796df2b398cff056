import assert from "node:assert/strict";
import { type Bytes, fromHex, hex, utf8 } from "../../lib/bytes.ts";
import { parsePeerId, type PeerId } from "../../lib/identity/peer_id.ts";
import { WireError, type WireErrorCode } from "../../lib/wire/errors.ts";
import { encode, type MsgPackInput } from "../../lib/wire/msgpack.ts";
import {
  decodeRequest,
  decodeResponse,
  encodeRefusal,
  encodeRequest,
  encodeResponse,
  type FoundPeer,
  foundPeerFields,
  foundPeerOf,
  helloResponseOf,
  type PeerPage,
  peerPageFields,
  peerPageOf,
  REGISTRY_ERRORS,
  type RegistryRequest,
  requestIdOf,
} from "../../lib/wire/registry_messages.ts";

const PEER: PeerId = parsePeerId("z6MkehRgf7yJbgaGfYsdoAsKdBPE3dj2CYhowQdcjqSJgvVd");
const INSTANCE = fromHex("000102030405060708090a0b0c0d0e0f");
const RECORD = fromHex("810a");
const SIGNATURE = new Uint8Array(64).fill(5);

function refused(work: () => unknown, code: WireErrorCode, path?: string): WireError {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof WireError, String(error));
    assert.equal(error.code, code, error.message);
    if (path !== undefined) assert.equal(error.path, path);
    return error;
  }
  assert.fail("it was read");
}

function ascii(text: string): string {
  return hex(utf8(text));
}

/** Every request, and its bytes, a line for each field. */
const REQUESTS: readonly (readonly [RegistryRequest, string])[] = [
  [
    { op: "hello", instance: INSTANCE },
    "83" + // a map of 3
    "a2" + ascii("id") + "07" +
    "a2" + ascii("op") + "a5" + ascii("hello") +
    "a8" + ascii("instance") + "c410" + "000102030405060708090a0b0c0d0e0f",
  ],
  [
    { op: "hello", instance: INSTANCE, token: "secret" },
    "84" +
    "a2" + ascii("id") + "07" +
    "a2" + ascii("op") + "a5" + ascii("hello") +
    "a8" + ascii("instance") + "c410" + "000102030405060708090a0b0c0d0e0f" +
    "a5" + ascii("token") + "a6" + ascii("secret"),
  ],
  [
    { op: "register", name: "Anna", unlisted: true },
    "84" +
    "a2" + ascii("id") + "07" +
    "a2" + ascii("op") + "a8" + ascii("register") +
    "a4" + ascii("name") + "a4" + ascii("Anna") +
    "a8" + ascii("unlisted") + "c3",
  ],
  [
    { op: "publish", record: RECORD, signature: SIGNATURE },
    "84" +
    "a2" + ascii("id") + "07" +
    "a2" + ascii("op") + "a7" + ascii("publish") +
    "a6" + ascii("record") + "c402810a" +
    "a9" + ascii("signature") + "c440" + "05".repeat(64),
  ],
  [
    { op: "lookup", peer: PEER },
    "83" +
    "a2" + ascii("id") + "07" +
    "a2" + ascii("op") + "a6" + ascii("lookup") +
    "a4" + ascii("peer") + "d930" + ascii(PEER),
  ],
  [
    { op: "lookup", peer: PEER, service: "mcp/files" },
    "84" +
    "a2" + ascii("id") + "07" +
    "a2" + ascii("op") + "a6" + ascii("lookup") +
    "a4" + ascii("peer") + "d930" + ascii(PEER) +
    "a7" + ascii("service") + "a9" + ascii("mcp/files"),
  ],
  [
    { op: "list", limit: 100 },
    "83" +
    "a2" + ascii("id") + "07" +
    "a2" + ascii("op") + "a4" + ascii("list") +
    "a5" + ascii("limit") + "64",
  ],
  [
    { op: "list", after: PEER, limit: 1 },
    "84" +
    "a2" + ascii("id") + "07" +
    "a2" + ascii("op") + "a4" + ascii("list") +
    "a5" + ascii("after") + "d930" + ascii(PEER) +
    "a5" + ascii("limit") + "01",
  ],
];

for (const [request, bytes] of REQUESTS) {
  const fields = Object.keys(request).slice(1).join(" and ");
  Deno.test(`a ${request.op} request with ${fields} has its golden bytes`, () => {
    assert.equal(hex(encodeRequest(7, request)), bytes);
    assert.deepEqual(decodeRequest(fromHex(bytes)), { id: 7, request });
    assert.equal(requestIdOf(fromHex(bytes)), 7);
  });
}

const REFUSED_REQUESTS: readonly (readonly [
  what: string,
  fields: MsgPackInput,
  code: WireErrorCode,
  path: string,
])[] = [
  ["no map", [1], "field_invalid", "REQUEST"],
  ["no id", { op: "list", limit: 1 }, "field_missing", "REQUEST.id"],
  ["a negative id", { id: -1, op: "list", limit: 1 }, "field_invalid", "REQUEST.id"],
  ["no op", { id: 1 }, "field_missing", "REQUEST.op"],
  ["an unknown op", { id: 1, op: "steal" }, "field_invalid", "REQUEST.op"],
  [
    "an instance of 15 bytes",
    { id: 1, op: "hello", instance: new Uint8Array(15) },
    "field_invalid",
    "REQUEST.instance",
  ],
  [
    "a token of 257 bytes",
    { id: 1, op: "hello", instance: INSTANCE, token: "x".repeat(257) },
    "field_invalid",
    "REQUEST.token",
  ],
  [
    "a token that is nil",
    { id: 1, op: "hello", instance: INSTANCE, token: null },
    "field_invalid",
    "REQUEST.token",
  ],
  [
    "an empty name",
    { id: 1, op: "register", name: "", unlisted: false },
    "field_invalid",
    "REQUEST.name",
  ],
  [
    "a name of 65 bytes",
    { id: 1, op: "register", name: "é".repeat(32) + "x", unlisted: false },
    "field_invalid",
    "REQUEST.name",
  ],
  ["no unlisted", { id: 1, op: "register", name: "x" }, "field_missing", "REQUEST.unlisted"],
  [
    "a record of 2,049 bytes",
    { id: 1, op: "publish", record: new Uint8Array(2049), signature: SIGNATURE },
    "field_invalid",
    "REQUEST.record",
  ],
  [
    "a signature of 63 bytes",
    { id: 1, op: "publish", record: RECORD, signature: new Uint8Array(63) },
    "field_invalid",
    "REQUEST.signature",
  ],
  ["no Peer ID", { id: 1, op: "lookup", peer: "somebody" }, "field_invalid", "REQUEST.peer"],
  [
    "a service of 81 bytes",
    { id: 1, op: "lookup", peer: PEER, service: "x".repeat(81) },
    "field_invalid",
    "REQUEST.service",
  ],
  ["a limit of 0", { id: 1, op: "list", limit: 0 }, "field_invalid", "REQUEST.limit"],
  ["a limit of 101", { id: 1, op: "list", limit: 101 }, "field_invalid", "REQUEST.limit"],
  [
    "an after that is no Peer ID",
    { id: 1, op: "list", limit: 1, after: "" },
    "field_invalid",
    "REQUEST.after",
  ],
];

for (const [what, fields, code, path] of REFUSED_REQUESTS) {
  Deno.test(`decodeRequest() refuses a request when it has ${what}`, () => {
    const body = encode(fields);
    refused(() => decodeRequest(body), code, path);
    assert.equal(requestIdOf(body), path === "REQUEST" || path === "REQUEST.id" ? null : 1);
  });
}

Deno.test("decodeRequest() repeats no text of the request in its error but the op, made printable", () => {
  const op = "\u001b[31mred";
  const { message } = refused(
    () => decodeRequest(encode({ id: 1, op })),
    "field_invalid",
  );
  assert.equal(message, 'Cannot read REQUEST.op: "\ufffd[31mred" is unknown');
  const secret = { id: 1, op: "hello", instance: INSTANCE, token: "s3cret".repeat(60) };
  assert.ok(
    !refused(() => decodeRequest(encode(secret)), "field_invalid").message.includes("s3cret"),
  );
});

Deno.test("decodeRequest() ignores fields that a later version may add", () => {
  const body = encode({ id: 1, op: "list", limit: 5, order: "name" });
  assert.deepEqual(decodeRequest(body), { id: 1, request: { op: "list", limit: 5 } });
});

Deno.test("decodeRequest() takes a Peer ID with did:key: before it", () => {
  const body = encode({ id: 1, op: "lookup", peer: `did:key:${PEER}` });
  assert.deepEqual(decodeRequest(body).request, { op: "lookup", peer: PEER });
});

Deno.test("requestIdOf() is null when there is no id to be read", () => {
  for (const body of ["", "c1", "80", "a3616263", "81a2696400ff", "82a2696401a2696402"]) {
    assert.equal(requestIdOf(fromHex(body)), null, body);
  }
});

Deno.test("REGISTRY_ERRORS are as published", () => {
  assert.deepEqual(REGISTRY_ERRORS, [
    "out_of_turn",
    "token_required",
    "token_wrong",
    "not_yours",
    "record_invalid",
    "stale",
    "not_registered",
    "peer_away",
    "quota",
    "unknown_op",
    "request_invalid",
    "internal",
  ]);
});

Deno.test("a refusal has its golden bytes", () => {
  const bytes = "82" +
    "a2" + ascii("id") + "07" +
    "a5" + ascii("error") + "83" +
    "a4" + ascii("code") + "a5" + ascii("stale") +
    "a6" + ascii("reason") + "a7" + ascii("too old") +
    "a3" + ascii("seq") + "cf0000019774209800";
  const refusal = { code: "stale", reason: "too old", seq: 1_749_999_982_592 } as const;
  assert.equal(hex(encodeRefusal(7, refusal)), bytes);
  const { id, refused } = decodeResponse(fromHex(bytes));
  assert.deepEqual({ id, refused }, { id: 7, refused: refusal });
});

Deno.test("every refusal is read as it was written, without control characters and not too long", () => {
  for (const code of REGISTRY_ERRORS) {
    const { refused } = decodeResponse(encodeRefusal(1, { code, reason: "no" }));
    assert.deepEqual(refused, { code, reason: "no" });
  }
  for (const reason of ["\u001b[2J", "€".repeat(2000), "😀".repeat(2000), "x".repeat(9999)]) {
    const { refused } = decodeResponse(encodeRefusal(1, { code: "internal", reason }));
    const text = refused?.reason ?? "";
    assert.ok(utf8(text).length <= 1024);
    assert.ok(!text.includes("\u001b"));
    assert.ok(text.length > 3);
  }
});

Deno.test("decodeResponse() reads a code of a newer registry as internal", () => {
  const { refused } = decodeResponse(encode({ id: 1, error: { code: "new", reason: "because" } }));
  assert.deepEqual(refused, { code: "internal", reason: "because" });
});

for (
  const [what, fields, path] of [
    ["no map", 1, "RESPONSE"],
    ["no id", { error: {} }, "RESPONSE.id"],
    ["an error that is no map", { id: 1, error: "no" }, "RESPONSE.error"],
    ["an error without a code", { id: 1, error: { reason: "no" } }, "RESPONSE.error.code"],
    ["a code that is no text", { id: 1, error: { code: 1, reason: "" } }, "RESPONSE.error.code"],
    [
      "an error without a reason",
      { id: 1, error: { code: "quota" } },
      "RESPONSE.error.reason",
    ],
    [
      "a negative seq",
      { id: 1, error: { code: "stale", reason: "", seq: -1 } },
      "RESPONSE.error.seq",
    ],
  ] as const
) {
  Deno.test(`decodeResponse() refuses a response when it has ${what}`, () => {
    const error = () => decodeResponse(encode(fields));
    assert.throws(error, (thrown: unknown) => thrown instanceof WireError && thrown.path === path);
  });
}

Deno.test("the response to HELLO has its golden bytes", () => {
  const bytes = "83" +
    "a2" + ascii("id") + "07" +
    "a8" + ascii("observed") + "a9" + ascii("192.0.2.7") +
    "a4" + ascii("time") + "ce3b9aca00";
  const hello = { observed: "192.0.2.7", time: 1_000_000_000 };
  assert.equal(hex(encodeResponse(7, hello)), bytes);
  assert.deepEqual(helloResponseOf(decodeResponse(fromHex(bytes)).fields), hello);
});

Deno.test("helloResponseOf() makes the observed address printable, and never longer than it came", () => {
  const read = (observed: string) =>
    helloResponseOf(decodeResponse(sent({ observed, time: 1 })).fields).observed;
  assert.equal(read("\u001b[2J192.0.2.7\n"), "\ufffd[2J192.0.2.7\ufffd");
  refused(() => read("1".repeat(65)), "field_invalid", "RESPONSE.observed");
});

Deno.test("times are refused when no Date holds them", () => {
  const latest = 8_640_000_000_000_000;
  const read = (time: number) => {
    const peer = { peer: PEER, name: "x", online: false, lastSeen: time, services: [] };
    const found = { name: "x", online: false, lastSeen: time, records: [] };
    return [
      () => helloResponseOf(decodeResponse(sent({ observed: "", time })).fields),
      () => foundPeerOf(decodeResponse(sent(foundPeerFields(found))).fields),
      () => peerPageOf(decodeResponse(sent(peerPageFields({ peers: [peer] }))).fields),
    ];
  };
  for (const work of read(latest)) work();
  for (const time of [latest + 1, Number.MAX_SAFE_INTEGER]) {
    for (const work of read(time)) refused(work, "field_invalid");
  }
});

Deno.test("peerPageOf() refuses a next that is not the last peer of its page", () => {
  const other = parsePeerId("z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK");
  const listed = (peer: PeerId) => ({ peer, name: "x", online: false, lastSeen: 0, services: [] });
  const read = (page: PeerPage) =>
    peerPageOf(decodeResponse(sent(peerPageFields(page))).fields).next;
  assert.equal(read({ peers: [listed(PEER), listed(other)], next: other }), other);
  for (const peers of [[], [listed(other)], [listed(PEER), listed(other)]]) {
    refused(() => read({ peers, next: PEER }), "field_invalid", "RESPONSE.next");
  }
});

function sent(fields: Readonly<Record<string, MsgPackInput>>): Bytes {
  return encodeResponse(7, fields);
}

Deno.test("the response to LOOKUP has its golden bytes", () => {
  const found: FoundPeer = {
    name: "Anna",
    online: true,
    lastSeen: 5,
    records: [{ record: RECORD, signature: SIGNATURE }],
  };
  const bytes = "82" +
    "a2" + ascii("id") + "07" +
    "a5" + ascii("found") + "84" +
    "a4" + ascii("name") + "a4" + ascii("Anna") +
    "a6" + ascii("online") + "c3" +
    "a9" + ascii("last_seen") + "05" +
    "a7" + ascii("records") + "91" + "82" +
    "a6" + ascii("record") + "c402810a" +
    "a9" + ascii("signature") + "c440" + "05".repeat(64);
  assert.equal(hex(sent(foundPeerFields(found))), bytes);
  assert.deepEqual(foundPeerOf(decodeResponse(fromHex(bytes)).fields), found);
});

Deno.test("the response to LOOKUP says nil when nobody was found, and not when it is missing", () => {
  const nobody = sent(foundPeerFields(null));
  assert.equal(hex(nobody), "82" + "a2" + ascii("id") + "07" + "a5" + ascii("found") + "c0");
  assert.equal(foundPeerOf(decodeResponse(nobody).fields), null);
  refused(() => foundPeerOf(decodeResponse(encode({ id: 1 })).fields), "field_missing");
});

Deno.test("foundPeerOf() takes 16 records of a peer and no more", () => {
  const record = { record: RECORD, signature: SIGNATURE };
  const found = (count: number): FoundPeer => ({
    name: "x",
    online: false,
    lastSeen: 0,
    records: Array.from({ length: count }, () => record),
  });
  const read = (count: number) =>
    foundPeerOf(decodeResponse(sent(foundPeerFields(found(count)))).fields);
  assert.equal(read(16)?.records.length, 16);
  refused(() => read(17), "field_invalid", "RESPONSE.found.records");
});

Deno.test("the response to LIST has its golden bytes", () => {
  const page: PeerPage = {
    peers: [{ peer: PEER, name: "Anna", online: false, lastSeen: 5, services: ["mcp/a"] }],
    next: PEER,
  };
  const bytes = "83" +
    "a2" + ascii("id") + "07" +
    "a5" + ascii("peers") + "91" + "85" +
    "a4" + ascii("peer") + "d930" + ascii(PEER) +
    "a4" + ascii("name") + "a4" + ascii("Anna") +
    "a6" + ascii("online") + "c2" +
    "a9" + ascii("last_seen") + "05" +
    "a8" + ascii("services") + "91" + "a5" + ascii("mcp/a") +
    "a4" + ascii("next") + "d930" + ascii(PEER);
  assert.equal(hex(sent(peerPageFields(page))), bytes);
  assert.deepEqual(peerPageOf(decodeResponse(fromHex(bytes)).fields), page);
  assert.deepEqual(peerPageOf(decodeResponse(sent(peerPageFields({ peers: [] }))).fields), {
    peers: [],
  });
});

Deno.test("peerPageOf() takes 100 peers with 16 services each and no more", () => {
  const page = (peers: number, services: number): PeerPage => ({
    peers: Array.from({ length: peers }, () => ({
      peer: PEER,
      name: "x",
      online: false,
      lastSeen: 0,
      services: Array.from({ length: services }, () => "mcp/a"),
    })),
  });
  const read = (peers: number, services: number) =>
    peerPageOf(decodeResponse(sent(peerPageFields(page(peers, services)))).fields);
  assert.equal(read(100, 16).peers.length, 100);
  refused(() => read(101, 0), "field_invalid", "RESPONSE.peers");
  refused(() => read(1, 17), "field_invalid", "RESPONSE.peers[0].services");
});

Deno.test("what strangers call themselves and their services loses its control characters", () => {
  const name = "\u001b[2JAn\u202ena";
  const found = { name, online: false, lastSeen: 0, records: [] };
  const read = foundPeerOf(decodeResponse(sent(foundPeerFields(found))).fields);
  assert.equal(read?.name, "\ufffd[2JAn\ufffdna");
  const page = {
    peers: [{ peer: PEER, name, online: false, lastSeen: 0, services: ["a\nb"] }],
  };
  const [listed] = peerPageOf(decodeResponse(sent(peerPageFields(page))).fields).peers;
  assert.deepEqual([listed?.name, listed?.services], ["\ufffd[2JAn\ufffdna", ["a\ufffdb"]]);
});
