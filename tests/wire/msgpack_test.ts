import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { Encoder } from "@msgpack/msgpack";
import { type Bytes, concat, equalBytes, fromHex, hex } from "../../lib/bytes.ts";
import { WireError, type WireErrorCode } from "../../lib/wire/errors.ts";
import { decode, encode, type MsgPackInput, type MsgPackValue } from "../../lib/wire/msgpack.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";

/** Returns the error of a call that must be refused. */
function refused(call: () => unknown, code: WireErrorCode, name: string): WireError {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof WireError, `${name} throws ${error}`);
    assert.equal(error.code, code, `${name}: ${error.message}`);
    return error;
  }
  assert.fail(`${name} is accepted`);
}

function refuses(bytesHex: string, code: WireErrorCode, offset: number): WireError {
  const error = refused(() => decode(fromHex(bytesHex)), code, bytesHex.slice(0, 40));
  assert.equal(error.offset, offset, `${bytesHex.slice(0, 40)}: ${error.message}`);
  return error;
}

const text = (length: number) => "x".repeat(length);
const textHex = (length: number) => "78".repeat(length);
const zeros = (length: number) => new Uint8Array(length);
const zerosHex = (length: number) => "00".repeat(length);
const list = (length: number) => Array.from({ length }, () => 0);
const table = (length: number) =>
  new Map(Array.from({ length }, (_, i) => [String(i).padStart(2, "0"), 0]));
const tableHex = (length: number) =>
  Array.from(
    { length },
    (_, i) => `a2${hex(new TextEncoder().encode(String(i).padStart(2, "0")))}00`,
  )
    .join("");

/** One line per boundary of every form: the value, its only encoding. */
const GOLDEN: readonly (readonly [string, MsgPackValue, string])[] = [
  ["nil", null, "c0"],
  ["false", false, "c2"],
  ["true", true, "c3"],
  ["0", 0, "00"],
  ["1", 1, "01"],
  ["127", 127, "7f"],
  ["128", 128, "cc80"],
  ["255", 255, "ccff"],
  ["256", 256, "cd0100"],
  ["32768", 32768, "cd8000"],
  ["65535", 65535, "cdffff"],
  ["65536", 65536, "ce00010000"],
  ["2^31", 2 ** 31, "ce80000000"],
  ["2^32 - 1", 2 ** 32 - 1, "ceffffffff"],
  ["2^32", 2 ** 32, "cf0000000100000000"],
  ["2^53 - 1", 2 ** 53 - 1, "cf001fffffffffffff"],
  ["-1", -1, "ff"],
  ["-32", -32, "e0"],
  ["-33", -33, "d0df"],
  ["-128", -128, "d080"],
  ["-129", -129, "d1ff7f"],
  ["-32768", -32768, "d18000"],
  ["-32769", -32769, "d2ffff7fff"],
  ["-2^31", -(2 ** 31), "d280000000"],
  ["-2^31 - 1", -(2 ** 31) - 1, "d3ffffffff7fffffff"],
  ["-2^32", -(2 ** 32), "d3ffffffff00000000"],
  ["-(2^53 - 1)", -(2 ** 53 - 1), "d3ffe0000000000001"],
  ["str of 0", "", "a0"],
  ["str of 1", "x", "a178"],
  ["str of 31", text(31), "bf" + textHex(31)],
  ["str of 32", text(32), "d920" + textHex(32)],
  ["str of 255", text(255), "d9ff" + textHex(255)],
  ["str of 256", text(256), "da0100" + textHex(256)],
  ["str of 65535", text(65535), "daffff" + textHex(65535)],
  ["str of 65536", text(65536), "db00010000" + textHex(65536)],
  ["str of 2-byte letters", "é", "a2c3a9"],
  ["str of 3-byte letters", "€", "a3e282ac"],
  ["str of 4-byte letters", "😀", "a4f09f9880"],
  ["str of 16 letters and 32 bytes", "é".repeat(16), "d920" + "c3a9".repeat(16)],
  ["str with byte order mark", "\ufeffx", "a4efbbbf78"],
  ["str with NUL", "\0", "a100"],
  ["bin of 0", zeros(0), "c400"],
  ["bin of 1", zeros(1), "c40100"],
  ["bin of 255", zeros(255), "c4ff" + zerosHex(255)],
  ["bin of 256", zeros(256), "c50100" + zerosHex(256)],
  ["bin of 65535", zeros(65535), "c5ffff" + zerosHex(65535)],
  ["bin of 65536", zeros(65536), "c600010000" + zerosHex(65536)],
  ["array of 0", [], "90"],
  ["array of 15", list(15), "9f" + zerosHex(15)],
  ["array of 16", list(16), "dc0010" + zerosHex(16)],
  ["map of 0", new Map(), "80"],
  ["map of 15", table(15), "8f" + tableHex(15)],
  ["map of 16", table(16), "de0010" + tableHex(16)],
  ["map with a key of 32", new Map([[text(32), 1]]), "81d920" + textHex(32) + "01"],
  ["map with a key of 256", new Map([[text(256), 1]]), "81da0100" + textHex(256) + "01"],
  ["map in its own order", new Map([["b", 1], ["2", 2], ["1", 3]]), "83a16201a13202a13103"],
  ["map with __proto__", new Map([["__proto__", 1]]), "81a95f5f70726f746f5f5f01"],
  ["nested", [new Map([["a", [null, zeros(1)]]])], "9181a16192c0c40100"],
];

for (const [name, value, golden] of GOLDEN) {
  Deno.test(`encode() and decode() give the golden bytes and value when it is ${name}`, () => {
    assert.equal(hex(encode(value)), golden);
    assert.deepEqual(decode(fromHex(golden)), value);
  });
}

Deno.test("encode() and decode() give the golden bytes when an array or map needs 32 bits for its count", () => {
  const bounds = { maxElements: 65536 };
  assert.equal(hex(encode(list(65535), bounds)), "dcffff" + zerosHex(65535));
  assert.equal(hex(encode(list(65536), bounds)), "dd00010000" + zerosHex(65536));
  assert.deepEqual(decode(fromHex("dcffff" + zerosHex(65535)), bounds), list(65535));
  assert.deepEqual(decode(fromHex("dd00010000" + zerosHex(65536)), bounds), list(65536));
  const large = new Map(
    Array.from({ length: 65536 }, (_, i) => [i.toString(16).padStart(4, "0"), i]),
  );
  const bytes = encode(large, bounds);
  assert.equal(hex(bytes.subarray(0, 5)), "df00010000");
  assert.deepEqual(decode(bytes, bounds), large);
  assert.equal(hex(encode(table(99), bounds).subarray(0, 3)), "de0063");
});

Deno.test("encode() writes a record as the map of its own entries when some of them are undefined", () => {
  assert.equal(hex(encode({ b: 1, a: undefined, c: null })), "82a16201a163c0");
  const bare: { [key: string]: number } = Object.create(null);
  bare["x"] = 1;
  assert.equal(hex(encode(bare)), "81a17801");
});

Deno.test("encode() writes the bytes of a view when it is a window into a larger buffer", () => {
  assert.equal(hex(encode(Uint8Array.of(1, 2, 3, 4).subarray(1, 3))), "c4020203");
  assert.equal(hex(encode(Buffer.from([9, 8]))), "c4020908");
});

Deno.test("encode() writes 0 when it is given negative zero", () => {
  assert.equal(hex(encode(-0)), "00");
});

Deno.test("encode() refuses a value when MsgPack as used here has no form for it", () => {
  class Point {
    readonly x = 1;
  }
  const cases: readonly (readonly [string, unknown, WireErrorCode])[] = [
    ["undefined", undefined, "msgpack_unsupported_type"],
    ["undefined in an array", [undefined], "msgpack_unsupported_type"],
    ["a hole in an array", new Array(1), "msgpack_unsupported_type"],
    ["undefined in a Map", new Map([["a", undefined]]), "msgpack_unsupported_type"],
    ["1.5", 1.5, "msgpack_unsupported_type"],
    ["NaN", NaN, "msgpack_unsupported_type"],
    ["Infinity", Infinity, "msgpack_unsupported_type"],
    ["a bigint", 1n, "msgpack_unsupported_type"],
    ["a function", () => {}, "msgpack_unsupported_type"],
    ["a symbol", Symbol("x"), "msgpack_unsupported_type"],
    ["a Date", new Date(0), "msgpack_unsupported_type"],
    ["a Set", new Set(), "msgpack_unsupported_type"],
    ["a Uint16Array", new Uint16Array(1), "msgpack_unsupported_type"],
    ["an ArrayBuffer", new ArrayBuffer(1), "msgpack_unsupported_type"],
    ["an instance", new Point(), "msgpack_unsupported_type"],
    ["a Map with a number as key", new Map([[1, 1]]), "msgpack_unsupported_type"],
    ["2^53", 2 ** 53, "msgpack_integer_range"],
    ["-2^53", -(2 ** 53), "msgpack_integer_range"],
    ["a lone surrogate", "\ud800", "msgpack_invalid_utf8"],
    ["a lone surrogate as key", { "\udfff": 1 }, "msgpack_invalid_utf8"],
    ["a lone surrogate in a long text", text(40) + "\udc00", "msgpack_invalid_utf8"],
  ];
  for (const [name, value, code] of cases) {
    refused(() => encode(value as MsgPackInput), code, name);
  }
});

Deno.test("encode() refuses a value when it contains itself", () => {
  const cycle: MsgPackInput[] = [];
  cycle.push(cycle);
  refused(() => encode(cycle), "msgpack_too_deep", "a cycle");
});

Deno.test("encode() and decode() allow depth 8 and refuse depth 9 when values nest", () => {
  const nested = (depth: number): MsgPackValue => depth === 0 ? 0 : [nested(depth - 1)];
  assert.equal(hex(encode(nested(8))), "91".repeat(8) + "00");
  assert.deepEqual(decode(fromHex("91".repeat(8) + "00")), nested(8));
  const tooDeep = refused(() => encode(nested(9)), "msgpack_too_deep", "depth 9");
  assert.equal(tooDeep.message, "Cannot encode MsgPack: depth is 9, limit is 8");
  const error = refuses("91".repeat(9) + "00", "msgpack_too_deep", 8);
  assert.equal(error.message, "Cannot decode MsgPack at byte 8: depth is 9, limit is 8");
  const maps = (depth: number): MsgPackInput => depth === 0 ? 0 : { a: maps(depth - 1) };
  assert.equal(hex(encode(maps(8))), "81a161".repeat(8) + "00");
  refused(() => encode(maps(9)), "msgpack_too_deep", "depth 9");
  refuses("81a161".repeat(8) + "80", "msgpack_too_deep", 24);
  refuses("91".repeat(100_000), "msgpack_too_deep", 8);
});

Deno.test("encode() and decode() allow 4096 elements and refuse 4097 when no other bound is given", () => {
  const full = encode([list(4095)]);
  assert.equal(full.length, 1 + 3 + 4095);
  assert.deepEqual(decode(full), [list(4095)]);
  refused(() => encode([list(4096)]), "msgpack_too_many_elements", "4097 elements");
  refuses("91dc1000" + zerosHex(4096), "msgpack_too_many_elements", 1);
  refuses("dc1001" + zerosHex(4097), "msgpack_too_many_elements", 0);
});

Deno.test("decode() and encode() count the elements of all maps and arrays when a bound is given", () => {
  const bytes = fromHex("8201".replace("01", "a161") + "9200" + "00" + "a162" + "80");
  const value = new Map<string, MsgPackValue>([["a", [0, 0]], ["b", new Map()]]);
  assert.deepEqual(decode(bytes, { maxElements: 4 }), value);
  assert.equal(hex(encode(value, { maxElements: 4 })), hex(bytes));
  refused(() => decode(bytes, { maxElements: 3 }), "msgpack_too_many_elements", "decode");
  refused(() => encode(value, { maxElements: 3 }), "msgpack_too_many_elements", "encode");
});

Deno.test("decode() refuses every form that is not the shortest when a shorter one exists", () => {
  const longer = [
    ["0 as u8", "cc00"],
    ["127 as u8", "cc7f"],
    ["0 as u16", "cd0000"],
    ["255 as u16", "cd00ff"],
    ["0 as u32", "ce00000000"],
    ["65535 as u32", "ce0000ffff"],
    ["0 as u64", "cf0000000000000000"],
    ["2^32 - 1 as u64", "cf00000000ffffffff"],
    ["0 as i8", "d000"],
    ["127 as i8", "d07f"],
    ["-1 as i8", "d0ff"],
    ["-32 as i8", "d0e0"],
    ["0 as i16", "d10000"],
    ["128 as i16", "d10080"],
    ["32767 as i16", "d17fff"],
    ["-1 as i16", "d1ffff"],
    ["-128 as i16", "d1ff80"],
    ["0 as i32", "d200000000"],
    ["2^31 - 1 as i32", "d27fffffff"],
    ["-1 as i32", "d2ffffffff"],
    ["-32768 as i32", "d2ffff8000"],
    ["0 as i64", "d30000000000000000"],
    ["2^32 as i64", "d30000000100000000"],
    ["2^53 - 1 as i64", "d3001fffffffffffff"],
    ["-1 as i64", "d3ffffffffffffffff"],
    ["-2^31 as i64", "d3ffffffff80000000"],
    ["str of 0 as str 8", "d900"],
    ["str of 31 as str 8", "d91f" + textHex(31)],
    ["str of 0 as str 16", "da0000"],
    ["str of 255 as str 16", "da00ff" + textHex(255)],
    ["str of 0 as str 32", "db00000000"],
    ["str of 65535 as str 32", "db0000ffff" + textHex(65535)],
    ["bin of 0 as bin 16", "c50000"],
    ["bin of 255 as bin 16", "c500ff" + zerosHex(255)],
    ["bin of 0 as bin 32", "c600000000"],
    ["bin of 65535 as bin 32", "c60000ffff" + zerosHex(65535)],
    ["array of 0 as array 16", "dc0000"],
    ["array of 15 as array 16", "dc000f" + zerosHex(15)],
    ["array of 0 as array 32", "dd00000000"],
    ["array of 65535 as array 32", "dd0000ffff" + zerosHex(65535)],
    ["map of 0 as map 16", "de0000"],
    ["map of 15 as map 16", "de000f" + tableHex(15)],
    ["map of 0 as map 32", "df00000000"],
    ["map of 16 as map 32", "df00000010" + tableHex(16)],
  ] as const;
  for (const [name, bytesHex] of longer) {
    assert.equal(refuses(bytesHex, "msgpack_not_shortest", 0).code, "msgpack_not_shortest", name);
    // The same inside an array and, where it is a text, as a key.
    refuses("9200" + bytesHex, "msgpack_not_shortest", 2);
    if (name.startsWith("str")) refuses("81" + bytesHex + "00", "msgpack_not_shortest", 1);
  }
});

Deno.test("decode() refuses an integer when it is beyond ±(2^53 - 1)", () => {
  refuses("cf0020000000000000", "msgpack_integer_range", 0);
  refuses("cf0020000000000001", "msgpack_integer_range", 0);
  refuses("cfffffffffffffffff", "msgpack_integer_range", 0);
  refuses("d3ffe0000000000000", "msgpack_integer_range", 0);
  refuses("d3ffdfffffffffffff", "msgpack_integer_range", 0);
  refuses("d38000000000000000", "msgpack_integer_range", 0);
  refuses("d30020000000000000", "msgpack_integer_range", 0);
});

Deno.test("decode() refuses floats, extensions, timestamps and 0xc1 when they appear anywhere", () => {
  const foreign = [
    "c1",
    "c70005",
    "c70cff" + zerosHex(12),
    "c8000005",
    "c90000000005",
    "ca3f800000",
    "cb3ff0000000000000",
    "d40500",
    "d5050000",
    "d605" + zerosHex(4),
    "d6ff" + zerosHex(4),
    "d7ff" + zerosHex(8),
    "d805" + zerosHex(16),
  ];
  for (const bytesHex of foreign) {
    refuses(bytesHex, "msgpack_unsupported_type", 0);
    refuses("81a161" + bytesHex, "msgpack_unsupported_type", 3);
  }
});

Deno.test("decode() refuses a map when a key is no text", () => {
  for (const key of ["c0", "01", "ff", "c3", "cc80", "c40161", "90", "80", "ca3f800000"]) {
    refuses("81" + key + "00" + zerosHex(8), "msgpack_unsupported_type", 1);
  }
});

Deno.test("decode() refuses a map when a key is there twice", () => {
  const error = refuses("82a16100a16101", "msgpack_duplicate_key", 4);
  assert.equal(error.message, 'Cannot decode MsgPack at byte 4: key "a" is there twice');
  refuses("91" + "83a16100a16200a16100", "msgpack_duplicate_key", 8);
  refuses("82a000a000", "msgpack_duplicate_key", 3);
  const hostile = refuses("82a21b5b00a21b5b00", "msgpack_duplicate_key", 5);
  assert.ok(!hostile.message.includes("\x1b"));
});

Deno.test("decode() keeps __proto__ harmless when it is a key", () => {
  const value = decode(fromHex("81a95f5f70726f746f5f5f81a17801"));
  assert.ok(value instanceof Map);
  assert.equal(Object.getPrototypeOf(value), Map.prototype);
  assert.equal(Reflect.get({}, "x"), undefined);
});

Deno.test("decode() refuses a text when it is not UTF-8", () => {
  const invalid = [
    ["a continuation alone", "80"],
    ["a cut 2-byte letter", "c3"],
    ["a cut 4-byte letter", "f09f98"],
    ["an overlong slash", "c0af"],
    ["an overlong NUL", "c080"],
    ["a high surrogate", "eda080"],
    ["a surrogate pair as CESU-8", "eda0bdedb880"],
    ["beyond U+10FFFF", "f4908080"],
    ["0xff", "ff"],
  ] as const;
  for (const [name, bytesHex] of invalid) {
    const str = (0xa0 + bytesHex.length / 2).toString(16) + bytesHex;
    assert.equal(refuses(str, "msgpack_invalid_utf8", 0).offset, 0, name);
    refuses("81" + str + "00", "msgpack_invalid_utf8", 1);
    const long = "d9" + (40 + bytesHex.length / 2).toString(16) + textHex(40) + bytesHex;
    refuses(long, "msgpack_invalid_utf8", 0);
  }
});

Deno.test("decode() refuses the input when bytes follow the value", () => {
  refuses("0000", "msgpack_trailing_bytes", 1);
  const error = refuses("9100c0c0c0", "msgpack_trailing_bytes", 2);
  assert.equal(error.message, "Cannot decode MsgPack at byte 2: 3 bytes follow the value");
});

/** Every type and every length of head, in one value. */
const SAMPLE: MsgPackValue = new Map<string, MsgPackValue>([
  ["integers", [0, 127, 128, 256, 65536, 2 ** 32, -1, -33, -129, -32769, -(2 ** 31) - 1]],
  ["others", [null, true, false]],
  ["texts", ["", "é", text(32), text(256)]],
  ["bytes", [zeros(0), zeros(5), zeros(256)]],
  ["lists", [[], list(16)]],
  [text(32), table(16)],
]);

Deno.test("decode() refuses a sample when it is cut at any byte", () => {
  const whole = encode(SAMPLE);
  assert.deepEqual(decode(whole), SAMPLE);
  for (let length = 0; length < whole.length; length++) {
    refused(() => decode(whole.subarray(0, length)), "msgpack_truncated", `${length} bytes`);
  }
});

Deno.test("decode() refuses the input before it allocates when it announces more than there is", () => {
  const error = refuses("dbffffffff78", "msgpack_truncated", 0);
  assert.equal(
    error.message,
    "Cannot decode MsgPack at byte 0: 4294967295 bytes are due, 1 remain",
  );
  refuses("c6ffffffff00", "msgpack_truncated", 0);
  refuses("ddffffffff00", "msgpack_truncated", 0);
  refuses("dfffffffffa100", "msgpack_truncated", 0);
  // A map entry takes two bytes or more, so three bytes cannot hold two of them.
  refuses("82a0a0a1", "msgpack_truncated", 0);
  // Ten thousand announcements of 4 GiB each: held at once, they would end the process.
  const announcements = fromHex("c6ffffffff");
  for (let i = 0; i < 10_000; i++) {
    refused(() => decode(announcements), "msgpack_truncated", "4 GiB");
  }
});

Deno.test("decode() returns byte strings of their own when the input buffer is used again", () => {
  for (const input of [fromHex("92c403010203a178"), Buffer.from("92c403010203a178", "hex")]) {
    const value = decode(input);
    input.fill(0);
    assert.deepEqual(value, [Uint8Array.of(1, 2, 3), "x"]);
    assert.ok(Array.isArray(value) && value[0] instanceof Uint8Array);
    assert.equal(value[0].buffer.byteLength, 3);
  }
});

Deno.test("decode() reads its window only when the input is a view into a larger buffer", () => {
  assert.deepEqual(decode(fromHex("ffcd0100ff").subarray(1, 4)), 256);
  refused(() => decode(fromHex("ffcd0100ff").subarray(1, 3)), "msgpack_truncated", "a window");
});

/** Returns a random value of the subset, biased towards the boundaries of the forms. */
function randomValue(random: SeededRandom, depth: number): MsgPackValue {
  const kind = random.below(depth === 0 ? 6 : 8);
  const length = random.pick([0, 1, 15, 16, 31, 32, random.below(300), random.below(70_000)]);
  switch (kind) {
    case 0:
      return random.pick([null, true, false]);
    case 1:
    case 2:
      return randomInteger(random);
    case 3:
      return random.bytes(length);
    case 4:
      return text(length);
    case 5:
      return randomText(random, random.below(40));
    case 6:
      return Array.from({ length: random.below(20) }, () => randomValue(random, depth - 1));
    default: {
      // Our keys begin with a letter: the oracle's records would put integer-like ones first.
      const entries = Array.from(
        { length: random.below(20) },
        (_, i) =>
          [`k${i}${randomText(random, random.below(20))}`, randomValue(random, depth - 1)] as const,
      );
      return new Map(entries);
    }
  }
}

function randomInteger(random: SeededRandom): number {
  const magnitude = 2 ** random.below(53) + random.between(-2, 2);
  return random.chance(0.5) ? magnitude : -magnitude;
}

function randomText(random: SeededRandom, length: number): string {
  const letters = ["a", "Z", "0", " ", "\0", "\x7f", "\x80", "é", "€", "\ufeff", "\uffff", "😀"];
  return Array.from({ length }, () => random.pick(letters)).join("");
}

/** Returns `value` with records in place of maps: the form that the oracle takes. */
function withRecords(value: MsgPackValue): unknown {
  if (Array.isArray(value)) return value.map(withRecords);
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, item]) => [key, withRecords(item)]));
  }
  return value;
}

Deno.test("encode() writes what @msgpack/msgpack writes when 2000 random values are compared", () => {
  const oracle = new Encoder();
  for (let i = 0; i < 2000; i++) {
    const value = randomValue(new SeededRandom(`oracle/${i}`), 3);
    const bytes = encode(value);
    const expected = oracle.encode(withRecords(value));
    assert.ok(equalBytes(bytes, expected), `oracle/${i}`);
    assert.ok(equalBytes(encode(decode(bytes)), expected), `oracle/${i}`);
  }
});

/** Checks both halves of strictness: nothing but WireError, and only canonical input is accepted. */
function accepts(input: Bytes): boolean {
  let value: MsgPackValue;
  try {
    value = decode(input);
  } catch (error) {
    assert.ok(error instanceof WireError, `${hex(input)} throws ${error}`);
    assert.ok(error.offset !== undefined && error.offset <= input.length, hex(input));
    return false;
  }
  assert.equal(hex(encode(value)), hex(input));
  return true;
}

Deno.test("decode() is exact when it is given every input of one and two bytes", () => {
  let accepted = 0;
  for (let a = 0; a < 256; a++) {
    if (accepts(Uint8Array.of(a))) accepted++;
    for (let b = 0; b < 256; b++) if (accepts(Uint8Array.of(a, b))) accepted++;
  }
  // Alone: 160 fixints, nil, two bools, the empty array, map and str. In two bytes: 128 of u8, 96 of i8,
  // the empty bin, an array of one of the 166 above, a text of one of 128 letters.
  assert.equal(accepted, 166 + (128 + 96 + 1 + 166 + 128));
});

Deno.test("decode() accepts only what re-encodes identically when 50000 random inputs are decoded", () => {
  const random = new SeededRandom("random bytes");
  let accepted = 0;
  for (let i = 0; i < 50_000; i++) if (accepts(random.bytes(random.below(24)))) accepted++;
  assert.ok(accepted > 100, `${accepted} accepted`);
});

Deno.test("decode() accepts only what re-encodes identically when one bit of a sample is flipped", () => {
  const sample = encode(SAMPLE);
  let accepted = 0;
  for (let bit = 0; bit < 8 * sample.length; bit++) {
    const flipped = concat(sample);
    flipped[bit >>> 3]! ^= 1 << (bit & 7);
    if (accepts(flipped)) accepted++;
  }
  assert.ok(accepted > 1000 && accepted < 8 * sample.length, `${accepted} accepted`);
});
