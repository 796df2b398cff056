import assert from "node:assert/strict";
import { concat, fromHex, hex, utf8 } from "../../lib/bytes.ts";
import {
  DATA_HEADER_BYTES,
  decodeFrame,
  encodeAck,
  encodeControl,
  encodeDataHeader,
  encodePing,
  encodeRekey,
  FrameType,
  MAX_FRAGMENT_BYTES,
  MAX_FRAME_BYTES,
} from "../../lib/wire/frames.ts";

const invalid = (text: string, message: RegExp) =>
  assert.throws(() => decodeFrame(fromHex(text)), { code: "frame_invalid", message });

Deno.test("the frame numbers are the published ones", () => {
  assert.deepEqual(FrameType, {
    open: 0x01,
    opened: 0x02,
    refused: 0x03,
    resume: 0x04,
    resumed: 0x05,
    close: 0x08,
    data: 0x10,
    ack: 0x11,
    ping: 0x12,
    pong: 0x13,
    bundle: 0x1e,
    rekey: 0x1f,
  });
});

Deno.test("the sizes leave room for length, tag and header in a record", () => {
  assert.equal(MAX_FRAME_BYTES, 65_519);
  assert.equal(DATA_HEADER_BYTES, 22);
  assert.equal(MAX_FRAGMENT_BYTES, 65_497);
});

Deno.test("encodeDataHeader() writes every byte of the header that it is given", () => {
  const header = new Uint8Array(DATA_HEADER_BYTES).fill(0xff);
  assert.equal(encodeDataHeader(false, 1, 2, 3, header), header);
  assert.equal(hex(header), "10" + "00" + "0000000000000001" + "0000000000000002" + "00000003");
});

Deno.test("every frame type is encoded as published", () => {
  const data = concat(encodeDataHeader(false, 1, 2, 3), utf8("hi"));
  assert.equal(
    hex(data),
    "10" + "00" + "0000000000000001" + "0000000000000002" + "00000003" + "6869",
  );
  const more = encodeDataHeader(true, 0x1f_ffff_ffff_ffff, 0x1_0000_0001, 0xffff_ffff);
  assert.equal(hex(more), "10" + "01" + "001fffffffffffff" + "0000000100000001" + "ffffffff");
  assert.equal(hex(encodeAck(258, 65_536)), "11" + "0000000000000102" + "00010000");
  assert.equal(hex(encodePing("ping", 0x01020304)), "12" + "01020304");
  assert.equal(hex(encodePing("pong", 0xffff_fffe)), "13" + "fffffffe");
  assert.equal(hex(encodeRekey()), "1f");
  assert.equal(hex(encodeControl("open", fromHex("80"))), "01" + "80");
  assert.equal(hex(encodeControl("opened", fromHex("80"))), "02" + "80");
  assert.equal(hex(encodeControl("refused", fromHex("80"))), "03" + "80");
  assert.equal(hex(encodeControl("resume", fromHex("80"))), "04" + "80");
  assert.equal(hex(encodeControl("resumed", fromHex("80"))), "05" + "80");
  assert.equal(hex(encodeControl("close", fromHex("80"))), "08" + "80");
});

Deno.test("decodeFrame() reads every frame type when it is as published", () => {
  const read = (text: string) => decodeFrame(fromHex(text));
  assert.deepEqual(
    read("10" + "01" + "001fffffffffffff" + "0000000100000001" + "ffffffff" + "6869"),
    {
      type: "data",
      more: true,
      seq: 2 ** 53 - 1,
      ack: 2 ** 32 + 1,
      credit: 2 ** 32 - 1,
      bytes: utf8("hi"),
    },
  );
  assert.deepEqual(read("10" + "00" + "0000000000000001" + "0000000000000000" + "00000000"), {
    type: "data",
    more: false,
    seq: 1,
    ack: 0,
    credit: 0,
    bytes: new Uint8Array(0),
  });
  assert.deepEqual(read("11" + "0000000000000102" + "80000000"), {
    type: "ack",
    ack: 258,
    credit: 2 ** 31,
  });
  assert.deepEqual(read("12" + "80000001"), { type: "ping", token: 2 ** 31 + 1 });
  assert.deepEqual(read("13" + "00000000"), { type: "pong", token: 0 });
  assert.deepEqual(read("1f"), { type: "rekey" });
  for (
    const [number, type] of [
      ["01", "open"],
      ["02", "opened"],
      ["03", "refused"],
      ["04", "resume"],
      ["05", "resumed"],
      ["08", "close"],
    ] as const
  ) {
    assert.deepEqual(read(`${number}81a0c0`), { type, body: fromHex("81a0c0") });
  }
});

Deno.test("decodeFrame() gives views when a frame has bytes, so that nothing is copied", () => {
  const frame = concat(encodeDataHeader(false, 1, 0, 0), utf8("hi"));
  const decoded = decodeFrame(frame);
  assert.ok(decoded.type === "data");
  assert.equal(decoded.bytes.buffer, frame.buffer);
});

Deno.test("decodeFrame() throws when the type is unknown", () => {
  const known = new Set<number>(Object.values(FrameType));
  for (let type = 0; type < 256; type++) {
    if (known.has(type)) continue;
    assert.throws(() => decodeFrame(Uint8Array.of(type, 0x80)), {
      code: "frame_invalid",
      message: `Cannot decode frame: type ${type} is unknown`,
    });
  }
  assert.throws(() => decodeFrame(new Uint8Array(0)), {
    message: "Cannot decode frame: it is empty",
  });
});

Deno.test("decodeFrame() throws when a length is wrong", () => {
  invalid("10" + "00" + "0000000000000001" + "0000000000000000" + "000000", /length is 21/);
  invalid("11" + "0000000000000001" + "000000", /length is 12, expected 13/);
  invalid("11" + "0000000000000001" + "0000000000", /length is 14, expected 13/);
  invalid("12" + "000000", /length is 4, expected 5/);
  invalid("13" + "0000000000", /length is 6, expected 5/);
  invalid("1f00", /length is 2, expected 1/);
});

Deno.test("decodeFrame() throws when a DATA flag is unknown", () => {
  for (const flags of ["02", "03", "80", "ff"]) {
    invalid("10" + flags + "0000000000000001" + "0000000000000000" + "00000000", /flags are/);
  }
});

Deno.test("decodeFrame() throws when a number is beyond what JavaScript holds exactly", () => {
  const beyond = "0020000000000000";
  invalid("10" + "00" + beyond + "0000000000000000" + "00000000", /beyond 2\^53 - 1/);
  invalid("10" + "00" + "0000000000000001" + beyond + "00000000", /beyond 2\^53 - 1/);
  invalid("11" + beyond + "00000000", /beyond 2\^53 - 1/);
  invalid("11" + "ffffffffffffffff" + "00000000", /beyond 2\^53 - 1/);
});

Deno.test("a control body has at most 4,096 bytes, in both directions", () => {
  const longest = encodeControl("close", new Uint8Array(4096));
  assert.equal(longest.length, 4097);
  assert.equal(decodeFrame(longest).type, "close");
  const message = /body is 4097 bytes, limit is 4096/;
  assert.throws(() => encodeControl("open", new Uint8Array(4097)), {
    code: "frame_too_long",
    message,
  });
  const tooLong = new Uint8Array(4098);
  tooLong[0] = FrameType.open;
  assert.throws(() => decodeFrame(tooLong), { code: "frame_too_long", message });
});
