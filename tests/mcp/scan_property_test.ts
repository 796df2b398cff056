/**
 * scanLine() against JSON.parse, on random texts.
 *
 * A text is generated together with what a parser must see in it, so that every deviation shows: in what
 * is accepted, in what is found, and in what is refused. A failure names its seed.
 */

import assert from "node:assert/strict";
import { type Bytes, fromUtf8, utf8 } from "../../lib/bytes.ts";
import { foldKey, PARAMS_KEYS } from "../../lib/mcp/known_keys.ts";
import { scanLine, type ScannedLine } from "../../lib/mcp/scan.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";

type Value = null | boolean | number | string | Value[] | Map<string, Value>;

const KEYS = ["a", "b", "name", "uri", "id", "method", "x y", "", "ключ", "😀", "Name", "\\", '"'];
const LETTERS = [
  "a",
  "Z",
  "0",
  " ",
  "/",
  "\\",
  '"',
  "\n",
  "\t",
  "\u007f",
  "é",
  "€",
  "😀",
  "\u2028",
];
const NUMBERS = ["0", "-0", "1", "-17", "3.25", "1e3", "1E-2", "12345678901234567890", "0.0"];

function text(random: SeededRandom): string {
  const length = random.chance(0.05) ? random.below(200) : random.below(12);
  return Array.from({ length }, () => random.pick(LETTERS)).join("");
}

function value(random: SeededRandom, depth: number): Value {
  switch (random.below(depth > 4 ? 4 : 6)) {
    case 0:
      return null;
    case 1:
      return random.chance(0.5);
    case 2:
      return Number(random.pick(NUMBERS));
    case 3:
      return text(random);
    case 4:
      return Array.from({ length: random.below(5) }, () => value(random, depth + 1));
    default:
      return object(random, depth);
  }
}

function object(random: SeededRandom, depth: number): Map<string, Value> {
  const count = random.chance(0.03) ? 40 : random.below(5);
  const key = (i: number) => count === 40 ? `k${i}` : random.pick(KEYS) + (i > 2 ? i : "");
  return new Map(Array.from({ length: count }, (_, i) => [key(i), value(random, depth + 1)]));
}

/** Writes a value as JSON, in one of the many forms that it has. */
class Writer {
  constructor(readonly random: SeededRandom) {}

  write(value: Value): string {
    if (value instanceof Map) {
      return this.members([...value].map(([key, member]) => [key, this.write(member)]));
    }
    if (Array.isArray(value)) {
      return `[${this.space()}${value.map((element) => this.write(element)).join(this.comma())}]`;
    }
    if (typeof value === "string") return this.string(value);
    return (Object.is(value, -0) ? "-0" : JSON.stringify(value)) + this.space();
  }

  members(members: readonly (readonly [key: string, written: string])[]): string {
    const written = members.map(([key, member]) =>
      this.string(key) + this.space() + ":" + this.space() + member + this.space()
    );
    return `{${this.space()}${written.join(this.comma())}}`;
  }

  string(text: string): string {
    let written = "";
    for (const character of text) {
      written += this.random.chance(0.1)
        ? this.escaped(character)
        : JSON.stringify(character).slice(1, -1);
    }
    return `"${written}"`;
  }

  escaped(character: string): string {
    let written = "";
    for (let i = 0; i < character.length; i++) {
      const hex = character.charCodeAt(i).toString(16).padStart(4, "0");
      written += `\\u${this.random.chance(0.5) ? hex : hex.toUpperCase()}`;
    }
    return written;
  }

  space(): string {
    return this.random.chance(0.9) ? "" : this.random.pick([" ", "\t", "  "]);
  }

  comma(): string {
    return `${this.space()},${this.space()}`;
  }
}

interface Expected {
  readonly kind: "request" | "notification" | "response";
  readonly id: string | number | null;
  readonly method: string | null;
  readonly name: string | null;
  readonly uri: string | null;
}

/** Returns a random message, and what it is. */
function message(random: SeededRandom): { line: string; expected: Expected } {
  const writer = new Writer(random);
  const kind = random.pick(["request", "notification", "response"] as const);
  const id = random.chance(0.5) ? random.below(1000) : text(random);
  const method = random.pick(["tools/call", "prompts/get", "resources/read", "x", "näme/😀"]);
  const members: [string, string][] = [["jsonrpc", writer.string("2.0")]];
  let name: string | null = null;
  let uri: string | null = null;
  if (kind !== "notification") members.push(["id", writer.write(id)]);
  if (kind === "response") {
    members.push([random.pick(["result", "error"]), writer.write(object(random, 1))]);
  } else {
    members.push(["method", writer.string(method)]);
    const folded = new Set(PARAMS_KEYS.map(foldKey));
    const extra = [...object(random, 2)].filter(([key]) => !folded.has(foldKey(key)));
    const params: [string, string][] = extra.map(([key, member]) => [key, writer.write(member)]);
    if (random.chance(0.8)) params.push(["name", writer.string(name = text(random))]);
    if (random.chance(0.5)) params.push(["uri", writer.string(uri = text(random))]);
    params.push(["arguments", writer.write(value(random, 2))]);
    members.push(["params", writer.members(shuffled(random, params))]);
    if (method !== "tools/call" && method !== "prompts/get") name = null;
  }
  if (random.chance(0.1)) members.push(["extra", writer.write(value(random, 1))]);
  return {
    line: writer.space() + writer.members(shuffled(random, members)) + writer.space(),
    expected: {
      kind,
      id: kind === "notification" ? null : id,
      method: kind === "response" ? null : method,
      name,
      uri,
    },
  };
}

function shuffled<T>(random: SeededRandom, items: T[]): T[] {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.below(i + 1);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
  return items;
}

/** What was found, in the form of {@link Expected}; the id is decoded from its token. */
function found(scanned: ScannedLine): unknown {
  assert.ok(scanned.kind !== "invalid" && scanned.kind !== "batch", JSON.stringify(scanned));
  const id = scanned.kind === "notification" || scanned.id === null
    ? null
    : JSON.parse(fromUtf8(scanned.id.token));
  return {
    kind: scanned.kind,
    id,
    method: scanned.kind === "response" ? null : scanned.method,
    name: scanned.kind === "response" ? null : scanned.name,
    uri: scanned.kind === "response" ? null : scanned.uri,
  };
}

function parses(line: Bytes): boolean {
  try {
    JSON.parse(fromUtf8(line));
    return true;
  } catch {
    return false;
  }
}

Deno.test("scanLine() finds what JSON.parse finds when a random message has no two readings", () => {
  for (let seed = 0; seed < 4000; seed++) {
    const { line, expected } = message(new SeededRandom(`scan/${seed}`));
    JSON.parse(line);
    for (const strictness of ["towards_server", "towards_agent"] as const) {
      assert.deepEqual(found(scanLine(utf8(line), strictness)), expected, `seed ${seed}: ${line}`);
    }
  }
});

Deno.test("scanLine() refuses a random message when one of its keys is written a second time", () => {
  let tried = 0;
  for (let seed = 0; tried < 1000; seed++) {
    const random = new SeededRandom(`duplicate/${seed}`);
    const { line } = message(random);
    // Behind a random comma or brace of the text, write the key that follows it once more.
    const keys = [...line.matchAll(/[{,]\s*("(?:[^"\\]|\\.)*")\s*:/g)];
    if (keys.length === 0) continue;
    const [whole, key = ""] = random.pick(keys);
    const twice = line.replace(whole, () => `${whole.charAt(0)}${key}:0,${whole.slice(1)}`);
    if (!parses(utf8(twice))) continue; // the place was inside a string
    if (JSON.stringify(JSON.parse(twice)) !== JSON.stringify(JSON.parse(line))) continue;
    tried++;
    const scanned = scanLine(utf8(twice), "towards_server");
    assert.equal(scanned.kind, "invalid", `seed ${seed}: ${twice}`);
  }
});

Deno.test("scanLine() accepts nothing that JSON.parse refuses when messages are mutated", () => {
  const DANGEROUS = utf8('"\\{}[]:,\r\n\t\0 0-1eu.\u00e4');
  let accepted = 0;
  let refused = 0;
  for (let seed = 0; seed < 6000; seed++) {
    const random = new SeededRandom(`mutate/${seed}`);
    let line = utf8(message(random).line);
    for (let edits = random.between(1, 3); edits > 0; edits--) {
      const at = random.below(line.length);
      const how = random.below(3);
      const byte = random.chance(0.7) ? random.pick([...DANGEROUS]) : random.below(256);
      if (how === 0) line[at] = byte;
      else if (how === 1) line = replaced(line, at, at + 1, []);
      else line = replaced(line, at, at, [byte]);
    }
    for (const strictness of ["towards_server", "towards_agent"] as const) {
      const scanned = scanLine(line, strictness);
      if (scanned.kind !== "invalid") {
        assert.ok(parses(line), `seed ${seed}: ${line.toHex()}`);
        accepted++;
      } else {
        refused++;
        assert.ok(scanned.offset >= 0 && scanned.offset <= line.length, `seed ${seed}`);
        if (scanned.reason === "not_json") {
          assert.ok(!parses(line), `seed ${seed}: ${line.toHex()}`);
        }
      }
    }
  }
  // The mutations reach both sides.
  assert.ok(accepted > 500 && refused > 500, `${accepted} accepted, ${refused} refused`);
});

/** Replaces `start..stop` by other bytes. */
function replaced(line: Bytes, start: number, stop: number, bytes: readonly number[]): Bytes {
  return Uint8Array.from([...line.subarray(0, start), ...bytes, ...line.subarray(stop)]);
}

Deno.test("scanLine() never throws when lines are random bytes", () => {
  for (let seed = 0; seed < 3000; seed++) {
    const random = new SeededRandom(`bytes/${seed}`);
    const line = random.bytes(random.below(60));
    for (const strictness of ["towards_server", "towards_agent"] as const) {
      const scanned = scanLine(line, strictness);
      if (scanned.kind !== "invalid") assert.ok(parses(line), `seed ${seed}`);
    }
  }
});
