import assert from "node:assert/strict";
import { type Bytes, fromHex, hex } from "../../lib/bytes.ts";
import {
  decodeOpen,
  decodeOpened,
  decodeReason,
  decodeResume,
  decodeResumed,
  encodeOpen,
  encodeOpened,
  encodeReason,
  encodeResume,
  encodeResumed,
} from "../../lib/session/bodies.ts";
import { decodeFrame } from "../../lib/wire/frames.ts";
import { encode, type MsgPackInput } from "../../lib/wire/msgpack.ts";

const ID = new Uint8Array(16).fill(0x11);
const SALT = new Uint8Array(16).fill(0x22);

function bodyOf(frame: Bytes): Bytes {
  const decoded = decodeFrame(frame);
  assert.ok("body" in decoded);
  return decoded.body;
}

Deno.test("encodeOpen() gives the published bytes, and decodeOpen() reads them", () => {
  const open = { id: ID, service: "mcp/default", maxMessage: 64 * 2 ** 20, salt: SALT, attempt: 0 };
  const frame = encodeOpen(open);
  assert.equal(
    hex(frame),
    "01" + "84" +
      "a26964" + "c410" + "11".repeat(16) +
      "a773657276696365" + "ab" + "6d63702f64656661756c74" +
      "ab6d61785f6d657373616765" + "ce04000000" +
      "a473616c74" + "c410" + "22".repeat(16),
  );
  assert.deepEqual(decodeOpen(bodyOf(frame)), open);
});

Deno.test("encodeOpened() gives the published bytes, and decodeOpened() reads them", () => {
  const opened = {
    instance: ID,
    service: "mcp/x",
    maxMessage: 3072,
    detachTimeoutMs: 600_000,
    next: 1,
  };
  const frame = encodeOpened(opened);
  assert.equal(
    hex(frame),
    "02" + "85" +
      "a8696e7374616e6365" + "c410" + "11".repeat(16) +
      "a773657276696365" + "a56d63702f78" +
      "ab6d61785f6d657373616765" + "cd0c00" +
      "ae6465746163685f74696d656f7574" + "ce000927c0" +
      "a46e657874" + "01",
  );
  assert.deepEqual(decodeOpened(bodyOf(frame)), opened);
});

Deno.test("encodeOpen() says which attempt it is unless it is the first", () => {
  const open = { id: ID, service: "mcp/x", maxMessage: 3072, salt: SALT };
  const again = encodeOpen(open, 2);
  assert.ok(hex(again).endsWith("a7617474656d7074" + "02"));
  assert.deepEqual(decodeOpen(bodyOf(again)), { ...open, attempt: 2 });
});

Deno.test("encodeResume() gives the published bytes, and decodeResume() reads them", () => {
  const resume = { id: ID, instance: SALT, attempt: 300, next: 2 ** 32 };
  const frame = encodeResume(resume);
  assert.equal(
    hex(frame),
    "04" + "84" +
      "a26964" + "c410" + "11".repeat(16) +
      "a8696e7374616e6365" + "c410" + "22".repeat(16) +
      "a7617474656d7074" + "cd012c" +
      "a46e657874" + "cf0000000100000000",
  );
  assert.deepEqual(decodeResume(bodyOf(frame)), resume);
});

Deno.test("encodeResumed() gives the published bytes, and decodeResumed() reads them", () => {
  const frame = encodeResumed({ next: 7 });
  assert.equal(hex(frame), "05" + "81" + "a46e657874" + "07");
  assert.deepEqual(decodeResumed(bodyOf(frame)), { next: 7 });
});

Deno.test("encodeReason() gives the published bytes, and decodeReason() reads them", () => {
  const reason = { code: "busy", reason: "later" };
  const body = "82" + "a4636f6465" + "a462757379" + "a6726561736f6e" + "a56c61746572";
  assert.equal(hex(encodeReason("refused", reason)), "03" + body);
  assert.equal(hex(encodeReason("close", reason)), "08" + body);
  assert.deepEqual(decodeReason("close", fromHex(body)), reason);
});

Deno.test("encodeReason() cuts what is too long, and its own reader accepts what is left", () => {
  for (const text of ["x", "é", "€", "😀", "x😀", "xx😀", "\u0007", "\ud83d"]) {
    const long = text.repeat(3000);
    const read = decodeReason(
      "refused",
      bodyOf(encodeReason("refused", { code: long, reason: long })),
    );
    assert.ok(read.reason.isWellFormed());
    assert.ok(read.reason.length >= 500, `${text}: ${read.reason.length}`);
    assert.ok(read.code.length <= 32);
  }
});

Deno.test("decodeReason() removes control characters", () => {
  const body = encode({ code: "a\u001bb", reason: "red \u001b[31m\u202eabc\r\n" });
  assert.deepEqual(decodeReason("close", body), {
    code: "a\ufffdb",
    reason: "red \ufffd[31m\ufffdabc\ufffd\ufffd",
  });
});

const OPEN: Record<string, MsgPackInput> = {
  id: ID,
  service: "s",
  max_message: 65_536,
  salt: SALT,
};
const OPENED: Record<string, MsgPackInput> = {
  instance: ID,
  service: "s",
  max_message: 65_536,
  detach_timeout: 0,
  next: 1,
};
const RESUME: Record<string, MsgPackInput> = { id: ID, instance: ID, attempt: 1, next: 1 };
const RESUMED: Record<string, MsgPackInput> = { next: 1 };
const REASON: Record<string, MsgPackInput> = { code: "c", reason: "r" };

for (
  const [what, fields, read, wrong] of [
    ["OPEN", OPEN, decodeOpen, {
      id: [new Uint8Array(15), new Uint8Array(17), "1".repeat(16)],
      service: ["s".repeat(81), "é".repeat(41), 1, null, new Uint8Array(1)],
      max_message: [0, -1, 3071, 2 ** 31 + 1, "65536"],
      salt: [new Uint8Array(15), new Uint8Array(17)],
    }],
    ["OPENED", OPENED, decodeOpened, {
      instance: [new Uint8Array(15), new Uint8Array(17), null],
      service: ["s".repeat(81), 1],
      max_message: [0, 3071, 2 ** 31 + 1],
      detach_timeout: [-1, 86_400_001, null],
      next: [0, -1, "1"],
    }],
    ["RESUME", RESUME, decodeResume, {
      id: [new Uint8Array(15), new Uint8Array(17), null],
      instance: [new Uint8Array(15), new Uint8Array(17)],
      attempt: [0, -1, "1"],
      next: [0, -1, new Uint8Array(1)],
    }],
    ["RESUMED", RESUMED, decodeResumed, { next: [0, -1, null] }],
    ["REFUSED", REASON, (body: Bytes) => decodeReason("refused", body), {
      code: ["c".repeat(129), 1, null],
      reason: ["r".repeat(2049), 1, new Uint8Array(1)],
    }],
  ] as const
) {
  Deno.test(`the reader of ${what} throws when a field is missing or wrong, and ignores unknown ones`, () => {
    read(encode(fields));
    read(encode({ ...fields, later: [1, { deep: true }] }));
    for (const [name, values] of Object.entries(wrong)) {
      const { [name]: _, ...rest } = fields as Record<string, MsgPackInput>;
      assert.throws(() => read(encode(rest)), { code: "field_missing", path: `${what}.${name}` });
      for (const value of values) {
        assert.throws(
          () => read(encode({ ...fields, [name]: value as MsgPackInput })),
          { code: "field_invalid", path: `${what}.${name}` },
          `${name} ${String(value)}`,
        );
      }
    }
    for (const none of [[], null, 7, "map"]) {
      assert.throws(() => read(encode(none)), { code: "field_invalid" });
    }
    assert.throws(() => read(new Uint8Array(0)), { name: "WireError" });
  });
}

Deno.test("an initiator may leave the choice of the service to the host", () => {
  const open = { id: ID, service: "", maxMessage: 3072, salt: SALT, attempt: 0 };
  assert.deepEqual(decodeOpen(bodyOf(encodeOpen(open))), open);
});
