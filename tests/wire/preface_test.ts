import assert from "node:assert/strict";
import { fromHex, hex, utf8 } from "../../lib/bytes.ts";
import {
  ConnectionKind,
  decodePreface,
  decodeVersionAnswer,
  encodePreface,
  encodeVersionAnswer,
  PREFACE_BYTES,
  PROTOCOL_VERSION,
  SUPPORTED_VERSIONS,
} from "../../lib/wire/preface.ts";

const invalid = (bytes: Uint8Array, message: RegExp) =>
  assert.throws(() => decodePreface(bytes), { code: "preface_invalid", message });

Deno.test("encodePreface() gives the published bytes for every kind", () => {
  assert.equal(hex(encodePreface(ConnectionKind.peer)), "54414c4f53010000");
  assert.equal(hex(encodePreface(ConnectionKind.registry)), "54414c4f53010100");
  assert.equal(hex(encodePreface(ConnectionKind.whoAreYou)), "54414c4f53010200");
  assert.equal(hex(encodePreface(ConnectionKind.circuit)), "54414c4f53010300");
});

Deno.test("encodeVersionAnswer() gives the published bytes", () => {
  assert.equal(hex(encodeVersionAnswer()), "54414c4f53010100");
});

Deno.test("the versions are 1 to 1, spoken is 1, and a preface has 8 bytes", () => {
  assert.deepEqual(SUPPORTED_VERSIONS, { min: 1, max: 1 });
  assert.equal(PROTOCOL_VERSION, 1);
  assert.equal(PREFACE_BYTES, 8);
});

Deno.test("decodePreface() reads every kind when the version is known", () => {
  for (const [text, kind] of [["00", 0], ["01", 1], ["02", 2], ["03", 3]] as const) {
    assert.deepEqual(decodePreface(fromHex(`54414c4f5301${text}00`)), { version: 1, kind });
  }
});

Deno.test("decodePreface() reports the announced version when it is another, whatever follows", () => {
  assert.deepEqual(decodePreface(fromHex("54414c4f5302ffff")), {
    version: "unsupported",
    announced: 2,
  });
  assert.deepEqual(decodePreface(fromHex("54414c4f53000000")), {
    version: "unsupported",
    announced: 0,
  });
});

Deno.test("decodePreface() throws when kind, last byte, magic or length are wrong", () => {
  invalid(fromHex("54414c4f53010400"), /kind 4 is unknown/);
  invalid(fromHex("54414c4f53010001"), /last byte is 1, not 0/);
  invalid(fromHex("54414c4f73010000"), /does not begin with "TALOS"/);
  invalid(utf8("GET / HT"), /does not begin with "TALOS"/);
  invalid(fromHex("54414c4f530100"), /length is 7, expected 8/);
  invalid(fromHex("54414c4f5301000000"), /length is 9, expected 8/);
});

Deno.test("decodePreface() throws or reports another version when any bit is changed", () => {
  const preface = encodePreface(ConnectionKind.peer);
  for (let bit = 0; bit < 64; bit++) {
    const changed = preface.slice();
    changed[bit >> 3]! ^= 1 << (bit & 7);
    if (bit >> 3 === 5) assert.equal(decodePreface(changed).version, "unsupported");
    else if (bit === 48 || bit === 49) assert.ok([1, 2].includes(changed[6]!)); // the other kinds
    else assert.throws(() => decodePreface(changed), { code: "preface_invalid" }, `bit ${bit}`);
  }
});

Deno.test("decodeVersionAnswer() returns the versions when it is one", () => {
  assert.deepEqual(decodeVersionAnswer(fromHex("54414c4f53020700")), { min: 2, max: 7 });
  assert.deepEqual(decodeVersionAnswer(fromHex("54414c4f53ffff00")), { min: 255, max: 255 });
});

Deno.test("decodeVersionAnswer() returns null when it is none", () => {
  const none = [
    "", // nothing
    "54414c4f530102", // too short
    "54414c4f5301020000", // too long
    "55414c4f53010200", // another magic
    "54414c4f53000100", // version 0
    "54414c4f53030200", // the lowest above the highest
    "54414c4f53010201", // the last byte
  ];
  for (const text of none) assert.equal(decodeVersionAnswer(fromHex(text)), null, text);
});
