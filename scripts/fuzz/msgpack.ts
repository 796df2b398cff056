/** Fuzzes the MsgPack codec: what decodes re-encodes to the same bytes. */

import { type Bytes, fromHex } from "../../lib/bytes.ts";
import { WireError } from "../../lib/wire/errors.ts";
import { decode, encode, type MsgPackInput } from "../../lib/wire/msgpack.ts";
import { accepted, checkSameBytes, type FuzzTarget } from "../fuzzing.ts";
import { mutateMsgPack } from "../msgpack_mutation.ts";

const VALUES: readonly MsgPackInput[] = [
  null,
  0,
  { id: new Uint8Array(16), service: "mcp/default", max_message: 67_108_864 },
  [0, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1],
  [-1, -32, -33, -128, -129, -32_768, -32_769, -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53 - 1)],
  [null, true, false, "", "é€😀", "x".repeat(31), "x".repeat(32), "x".repeat(256)],
  [new Uint8Array(0), new Uint8Array(255), new Uint8Array(256), new Uint8Array(65_536)],
  { a: { b: { c: { d: [[[]]] } } }, "1": {}, __proto__x: [] },
  Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`key ${i}`, Array(i).fill(i)])),
];

/** The MsgPack codec. */
export const msgpack: FuzzTarget = {
  name: "msgpack",
  errors: [WireError],
  dictionary: ["c0", "80", "90", "a161", "cf", "d3ff", "dc0010", "de0010", "dbffffffff"]
    .map((word): Bytes => fromHex(word)),
  mutate: (input, random) => mutateMsgPack(input, random),
  corpus: () => VALUES.map((value) => encode(value)),
  run(input) {
    const value = decode(input);
    checkSameBytes("decode, encode", accepted("encode", () => encode(value)), input);
  },
};
