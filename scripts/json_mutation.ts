/**
 * A mutation that mostly keeps JSON well-formed: it changes, repeats or removes tokens and members.
 *
 * Changes of bytes rarely get past the grammar; this is what reaches the rules about names and values.
 */

import { type Bytes, fromUtf8, utf8 } from "../lib/bytes.ts";
import type { SeededRandom } from "./seeded_random.ts";

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s"{}[\],:]+|\s+|"/g;

const SCALARS: readonly string[] = [
  ...[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "1.0",
    "10e-1",
    "1e400",
    "12345678901234567890",
    '""',
  ],
  ...['"x"', '"2.0"', '"\\u0000"', '"\\ud83d\\ude00"', '"\\ud83d"', "[]", "{}", '[{"a":1}]'],
];

/**
 * Returns JSON text with one change, or `input` where it is no UTF-8 or has no tokens.
 *
 * @param names Names of members that the format knows, without quotes.
 */
export function mutateJson(input: Bytes, random: SeededRandom, names: readonly string[]): Bytes {
  let tokens: string[];
  try {
    tokens = fromUtf8(input).match(TOKEN) ?? [];
  } catch {
    return input;
  }
  if (tokens.length === 0) return input;
  const at = random.below(tokens.length);
  const token = tokens[at] ?? "";
  return utf8(tokens.toSpliced(at, 1, ...replacement(token, random, names)).join(""));
}

function replacement(token: string, random: SeededRandom, names: readonly string[]): string[] {
  const name = `"${spelt(random.pick(names), random)}"`;
  const member = `${name}:${random.pick(SCALARS)}`;
  switch (token.charAt(0)) {
    case "{":
      return random.chance(0.8) ? ["{", member, ","] : ["[", "{"];
    case "}":
      return random.chance(0.8) ? [",", member, "}"] : ["}", "]"];
    case ",":
      return random.pick([[",", member, ","], [",", random.pick(SCALARS), ","], []]);
    case "[":
      return ["[", random.pick(SCALARS), ","];
    case '"':
      return random.pick([[name], [`"${spelt(token.slice(1, -1), random)}"`], [
        random.pick(SCALARS),
      ]]);
    case ":":
    case "]":
      return random.pick([[token, " "], ["\t", token], [token, token], []]);
    default:
      return [random.pick(SCALARS)];
  }
}

/** Returns a text in another spelling: an escape, another case, a letter that folds to one of its own. */
function spelt(text: string, random: SeededRandom): string {
  const at = random.below(text.length + 1);
  const letter = text.charAt(at);
  const escaped = letter === "" ? "" : `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`;
  const folded = { i: "\u0131", s: "\u017f", k: "\u212a", I: "\u0130" }[letter] ?? letter;
  const other = random.pick([letter, escaped, letter.toUpperCase(), folded, "\\ud800", "\\u0000"]);
  return text.slice(0, at) + other + text.slice(at + 1);
}
