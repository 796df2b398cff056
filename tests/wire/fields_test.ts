import assert from "node:assert/strict";
import { fromHex } from "../../lib/bytes.ts";
import { WireError, type WireErrorCode } from "../../lib/wire/errors.ts";
import { Fields } from "../../lib/wire/fields.ts";
import { decode, encode, type MsgPackInput } from "../../lib/wire/msgpack.ts";

/** Returns a reader of `record` after a trip over the wire. */
function fieldsOf(record: { readonly [key: string]: MsgPackInput }, path = "OPEN"): Fields {
  return new Fields(decode(encode(record)), path);
}

/** Checks that a read is refused with exactly this code and sentence. */
function refused(read: () => unknown, code: WireErrorCode, sentence: string): WireError {
  try {
    read();
  } catch (error) {
    assert.ok(error instanceof WireError, String(error));
    assert.equal(error.message, `Cannot read ${sentence}`);
    assert.equal(error.code, code);
    assert.equal(error.path, sentence.slice(0, sentence.indexOf(": ")));
    return error;
  }
  assert.fail(`accepted: ${sentence}`);
}

const invalid = (read: () => unknown, sentence: string) => refused(read, "field_invalid", sentence);

Deno.test("Fields reads every type when a message is as expected", () => {
  const fields = fieldsOf({
    id: new Uint8Array(16).fill(7),
    salt: new Uint8Array(20),
    service: "mcp/default",
    kind: "peer",
    max: 65536,
    offset: -5,
    open: true,
    caps: ["a", "bb"],
    inner: { x: 1 },
    peers: [{ name: "anna" }, { name: "bert" }],
  });
  assert.deepEqual(fields.bin("id", 16), new Uint8Array(16).fill(7));
  assert.equal(fields.bin("salt", { min: 16, max: 32 }).length, 20);
  assert.equal(fields.str("service", { max: 64 }), "mcp/default");
  assert.equal(fields.oneOf("kind", ["registry", "peer"]), "peer");
  assert.equal(fields.uint("max", { min: 1, max: 65536 }), 65536);
  assert.equal(fields.int("offset"), -5);
  assert.equal(fields.bool("open"), true);
  assert.deepEqual(fields.strings("caps", { maxItems: 2, maxLength: 2 }), ["a", "bb"]);
  assert.equal(fields.map("inner").uint("x"), 1);
  const names = fields.maps("peers", { maxItems: 2 }).map((peer) => peer.str("name", { max: 8 }));
  assert.deepEqual(names, ["anna", "bert"]);
  fields.end({ strict: true });
});

Deno.test("Fields throws a path when the value is no map", () => {
  invalid(() => new Fields(decode(fromHex("90")), "OPEN"), "OPEN: expected map, got array");
  invalid(() => new Fields(null, "OPEN"), "OPEN: expected map, got nil");
});

Deno.test("Fields throws field_missing when a field is absent, whatever its type", () => {
  const fields = fieldsOf({});
  const reads: readonly ((name: string) => unknown)[] = [
    (name) => fields.bin(name, 16),
    (name) => fields.str(name, { max: 64 }),
    (name) => fields.oneOf(name, ["a"]),
    (name) => fields.uint(name),
    (name) => fields.int(name),
    (name) => fields.bool(name),
    (name) => fields.strings(name, { maxItems: 1, maxLength: 1 }),
    (name) => fields.list(name, { maxItems: 1 }, () => 0),
    (name) => fields.map(name),
    (name) => fields.maps(name, { maxItems: 1 }),
  ];
  for (const read of reads) refused(() => read("id"), "field_missing", "OPEN.id: it is missing");
  // What every object inherits is no field either.
  refused(
    () => fields.str("toString", { max: 9 }),
    "field_missing",
    "OPEN.toString: it is missing",
  );
  assert.equal(fields.has("constructor"), false);
});

Deno.test("Fields names both types when a field has another than expected", () => {
  const fields = fieldsOf({
    nil: null,
    yes: true,
    n: 1,
    s: "x",
    b: new Uint8Array(1),
    a: [],
    m: {},
  });
  invalid(() => fields.bin("nil", 16), "OPEN.nil: expected 16 bytes, got nil");
  invalid(() => fields.bin("s", { max: 16 }), "OPEN.s: expected at most 16 bytes, got str");
  invalid(() => fields.str("b", { max: 16 }), "OPEN.b: expected str, got bin");
  invalid(() => fields.str("n", { max: 16 }), "OPEN.n: expected str, got integer");
  invalid(
    () => fields.uint("yes", { max: 9 }),
    "OPEN.yes: expected an integer from 0 to 9, got bool",
  );
  invalid(() => fields.uint("s", { max: 9 }), "OPEN.s: expected an integer from 0 to 9, got str");
  invalid(() => fields.bool("n"), "OPEN.n: expected bool, got integer");
  invalid(() => fields.oneOf("a", ["x", "y"]), "OPEN.a: expected one of x, y, got array");
  invalid(
    () => fields.strings("m", { maxItems: 1, maxLength: 1 }),
    "OPEN.m: expected array, got map",
  );
  invalid(
    () => fields.strings("s", { maxItems: 1, maxLength: 1 }),
    "OPEN.s: expected array, got str",
  );
  invalid(() => fields.map("a"), "OPEN.a: expected map, got array");
  invalid(() => fields.maps("m", { maxItems: 1 }), "OPEN.m: expected array, got map");
});

Deno.test("Fields.bin() holds a byte string to its bounds when they are given", () => {
  const fields = fieldsOf({ session_id: new Uint8Array(15), one: new Uint8Array(1) });
  invalid(() => fields.bin("session_id", 16), "OPEN.session_id: expected 16 bytes, got 15");
  invalid(() => fields.bin("session_id", 14), "OPEN.session_id: expected 14 bytes, got 15");
  invalid(
    () => fields.bin("one", { min: 2, max: 4 }),
    "OPEN.one: expected 2 to 4 bytes, got 1",
  );
  invalid(() => fields.bin("one", { max: 0 }), "OPEN.one: expected 0 bytes, got 1");
  assert.equal(fields.bin("session_id", { min: 15, max: 15 }).length, 15);
});

Deno.test("Fields.str() counts bytes of UTF-8 when a text is held to its bounds", () => {
  const fields = fieldsOf({ name: "éé", empty: "" });
  assert.equal(fields.str("name", { min: 4, max: 4 }), "éé");
  invalid(() => fields.str("name", { max: 3 }), "OPEN.name: expected at most 3 bytes, got 4");
  invalid(() => fields.str("name", { min: 5, max: 9 }), "OPEN.name: expected 5 to 9 bytes, got 4");
  assert.equal(fields.str("empty", { max: 3 }), "");
  invalid(
    () => fields.str("empty", { min: 1, max: 3 }),
    "OPEN.empty: expected 1 to 3 bytes, got 0",
  );
});

Deno.test("Fields.uint() and int() hold an integer to both ends when they are given", () => {
  const fields = fieldsOf({ n: 70000, minus: -1, least: -(2 ** 53 - 1), most: 2 ** 53 - 1 });
  assert.equal(fields.uint("n", { min: 70000, max: 70000 }), 70000);
  invalid(
    () => fields.uint("n", { max: 65535 }),
    "OPEN.n: expected an integer from 0 to 65535, got 70000",
  );
  invalid(
    () => fields.uint("n", { min: 70001 }),
    "OPEN.n: expected an integer from 70001 to 9007199254740991, got 70000",
  );
  invalid(
    () => fields.uint("minus"),
    "OPEN.minus: expected an integer from 0 to 9007199254740991, got -1",
  );
  invalid(
    () => fields.int("minus", { min: 0, max: 1 }),
    "OPEN.minus: expected an integer from 0 to 1, got -1",
  );
  assert.equal(fields.int("least"), -(2 ** 53 - 1));
  assert.equal(fields.uint("most"), 2 ** 53 - 1);
});

Deno.test("Fields.oneOf() does not repeat the text when it is not among the choices", () => {
  const fields = fieldsOf({ kind: "\x1b[2J" });
  invalid(() => fields.oneOf("kind", ["peer"]), "OPEN.kind: expected one of peer, got another");
});

Deno.test("Fields names the item when one of a list is wrong", () => {
  const fields = fieldsOf({
    caps: ["a", "b", 3],
    names: ["ok", "too long"],
    peers: [{ name: "anna" }, { name: 5 }, null],
  }, "PEERS");
  const two = { maxItems: 2 };
  const three = { maxItems: 3 };
  invalid(
    () => fields.strings("caps", { ...two, maxLength: 9 }),
    "PEERS.caps: expected at most 2 items, got 3",
  );
  invalid(
    () => fields.strings("caps", { ...three, maxLength: 9 }),
    "PEERS.caps[2]: expected str, got integer",
  );
  invalid(
    () => fields.strings("names", { ...three, maxLength: 7 }),
    "PEERS.names[1]: expected at most 7 bytes, got 8",
  );
  invalid(() => fields.maps("peers", three), "PEERS.peers[2]: expected map, got nil");
  invalid(
    () =>
      fields.list("peers", three, (item, path) => new Fields(item, path).str("name", { max: 9 })),
    "PEERS.peers[1].name: expected str, got integer",
  );
});

Deno.test("Fields.list() reads no item when there are too many", () => {
  const fields = fieldsOf({ items: [1, 2, 3] });
  let reads = 0;
  invalid(
    () => fields.list("items", { maxItems: 2 }, () => reads++),
    "OPEN.items: expected at most 2 items, got 3",
  );
  assert.equal(reads, 0);
});

Deno.test("Fields.optional() gives undefined when a field is absent, and refuses nil", () => {
  const fields = fieldsOf({ reason: "x", nothing: null, wrong: 1 });
  const read = (name: string) => fields.str(name, { max: 9 });
  assert.equal(fields.optional("reason", read), "x");
  assert.equal(fields.optional("absent", read), undefined);
  invalid(() => fields.optional("nothing", read), "OPEN.nothing: expected str, got nil");
  invalid(() => fields.optional("wrong", read), "OPEN.wrong: expected str, got integer");
});

Deno.test("Fields.has() tells what is there when it is asked", () => {
  const fields = fieldsOf({ nothing: null });
  assert.equal(fields.has("nothing"), true);
  assert.equal(fields.has("absent"), false);
});

Deno.test("Fields.end() ignores unknown fields unless it is strict", () => {
  const fields = fieldsOf({ id: 1, later: 2 });
  fields.uint("id");
  fields.end();
  fields.end({ strict: false });
  const ended = () => fields.end({ strict: true });
  refused(ended, "field_unknown", "OPEN.later: it is not expected");
  fields.optional("later", (name) => fields.uint(name));
  fields.end({ strict: true });
});

Deno.test("Fields.end() prints a field's name without control characters when the name is hostile", () => {
  const fields = fieldsOf({ ["\x1b]0;pwned\x07" + "x".repeat(100)]: 1 });
  const ended = () => fields.end({ strict: true });
  refused(
    ended,
    "field_unknown",
    `OPEN.\ufffd]0;pwned\ufffd${"x".repeat(54)}…: it is not expected`,
  );
});
