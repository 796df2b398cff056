import assert from "node:assert/strict";
import { fromHex, hex } from "../../lib/bytes.ts";
import { WireError, type WireErrorCode } from "../../lib/wire/errors.ts";
import {
  decodeRegistryFrame,
  encodeRegistryFrame,
  RegistryFrameType,
} from "../../lib/wire/registry_frames.ts";

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

Deno.test("RegistryFrameType is as published", () => {
  assert.deepEqual(RegistryFrameType, { request: 0x20, response: 0x21, event: 0x22 });
});

for (
  const [name, bytes] of [["request", "20c0"], ["response", "21c0"], ["event", "22c0"]] as const
) {
  Deno.test(`encodeRegistryFrame() is the type and the body when it is a ${name}`, () => {
    assert.equal(hex(encodeRegistryFrame(name, fromHex("c0"))), bytes);
    assert.deepEqual(decodeRegistryFrame(fromHex(bytes)), { type: name, body: fromHex("c0") });
    assert.deepEqual(decodeRegistryFrame(fromHex(bytes.slice(0, 2))), {
      type: name,
      body: new Uint8Array(0),
    });
  });

  Deno.test(`a ${name} of 49,152 bytes is the longest that is written or read`, () => {
    const longest = encodeRegistryFrame(name, new Uint8Array(49_152));
    assert.equal(longest.length, 49_153);
    assert.equal(decodeRegistryFrame(longest).type, name);
    const tooLong = new Uint8Array(49_153);
    const message = refused(() => encodeRegistryFrame(name, tooLong), "frame_too_long");
    assert.equal(message, `Cannot use ${name} frame: body is 49153 bytes, limit is 49152`);
    const frame = new Uint8Array(49_154);
    frame.set(longest);
    refused(() => decodeRegistryFrame(frame), "frame_too_long");
  });
}

Deno.test("decodeRegistryFrame() takes PING, PONG and CLOSE of every connection", () => {
  assert.deepEqual(decodeRegistryFrame(fromHex("1200000007")), { type: "ping", token: 7 });
  assert.deepEqual(decodeRegistryFrame(fromHex("13deadbeef")), {
    type: "pong",
    token: 0xdeadbeef,
  });
  assert.deepEqual(decodeRegistryFrame(fromHex("0880")), { type: "close", body: fromHex("80") });
});

for (const frame of ["", "0180", "0280", "0380", "0480", "0580", "1f", "2380", "2f", "ff"]) {
  Deno.test(`decodeRegistryFrame() refuses ${frame === "" ? "nothing" : frame}`, () => {
    refused(() => decodeRegistryFrame(fromHex(frame)), "frame_invalid");
  });
}

Deno.test("decodeRegistryFrame() refuses DATA and ACK, which belong to sessions", () => {
  refused(() => decodeRegistryFrame(fromHex("10" + "00".repeat(21))), "frame_invalid");
  refused(() => decodeRegistryFrame(fromHex("11" + "00".repeat(12))), "frame_invalid");
});
