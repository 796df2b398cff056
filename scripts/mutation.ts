/**
 * Inputs for fuzzing: valid ones, changed one to eight times over.
 *
 * Deno offers no cheap feedback from coverage, so depth comes from the corpus: the more of a format its
 * valid inputs show, the deeper a small change reaches. An input depends on its seed and the corpus only.
 */

import { type Bytes, concat, EMPTY } from "../lib/bytes.ts";
import { SeededRandom } from "./seeded_random.ts";

/** No input grows beyond this many bytes. */
const MAX_INPUT_BYTES = 65_536;

const MAX_MUTATIONS = 8;

/** Bytes at which formats change their mind: ends of ranges, signs, marks of MsgPack, UTF-8 and JSON. */
const NOTABLE = Uint8Array.from(
  [0x00, 0x01, 0x0a, 0x0d, 0x1f, 0x20, 0x22, 0x5c, 0x7f, 0x80, 0x90, 0xa0, 0xbf, 0xc0, 0xc1, 0xed]
    .concat([0xdb, 0xdf, 0xe0, 0xef, 0xf0, 0xf4, 0xfe, 0xff]),
);

/** What helps to make inputs for one format. */
export interface MutationHints {
  /** What the format is written with and mutations should insert: keywords, marks, field names. */
  readonly dictionary?: readonly Bytes[];
  /** Returns `input` with a change that leaves more of its format intact than changes of bytes do. */
  mutate?(input: Bytes, random: SeededRandom): Bytes;
}

/** Returns a changed member of `corpus`, or now and then random bytes. */
export function mutant(hints: MutationHints, corpus: readonly Bytes[], seed: string): Bytes {
  const random = new SeededRandom(seed);
  if (random.chance(0.02)) return random.bytes(random.below(random.pick([8, 64, 1024])));
  const { dictionary = [], mutate } = hints;
  const mutators = dictionary.length === 0 ? MUTATORS : WORD_MUTATORS;
  let input = random.pick(corpus).slice();
  const ours = mutate !== undefined && random.chance(0.5) ? mutate : undefined;
  let mutations = 1;
  while (mutations < MAX_MUTATIONS && random.chance(0.5)) mutations++;
  for (let i = 0; i < mutations; i++) {
    input = ours === undefined
      ? random.pick(mutators)(input, random, corpus, dictionary)
      : ours(input, random);
  }
  return input.length > MAX_INPUT_BYTES ? input.slice(0, MAX_INPUT_BYTES) : input;
}

/** Returns a changed form of `input`, which it may change in place. */
type Mutator = (
  input: Bytes,
  random: SeededRandom,
  corpus: readonly Bytes[],
  dictionary: readonly Bytes[],
) => Bytes;

const flipBit: Mutator = (input, random) => {
  if (input.length === 0) return input;
  const at = random.below(input.length);
  input[at] = input[at]! ^ (1 << random.below(8));
  return input;
};

const setByte: Mutator = (input, random) => {
  if (input.length === 0) return input;
  input[random.below(input.length)] = random.pick([...NOTABLE, random.below(256)]);
  return input;
};

const insertBytes: Mutator = (input, random) =>
  replaced(input, random.below(input.length + 1), 0, random.bytes(random.between(1, 8)));

const deleteBytes: Mutator = (input, random) => {
  const [from, length] = rangeIn(input, random);
  return replaced(input, from, length, EMPTY);
};

const truncate: Mutator = (input, random) => input.slice(0, random.below(input.length + 1));

/** Repeats a piece where it stands, or puts a copy elsewhere: duplicate keys, repeated records. */
const repeatPiece: Mutator = (input, random) => {
  const [from, length] = rangeIn(input, random);
  const piece = input.slice(from, from + length);
  const to = random.chance(0.5) ? from : random.below(input.length + 1);
  return replaced(input, to, 0, piece);
};

/** Puts the beginning of one input before the end of another. */
const splice: Mutator = (input, random, corpus) => {
  const other = random.pick(corpus);
  const cut = random.below(input.length + 1);
  const aligned = random.chance(0.5) ? Math.min(cut, other.length) : random.below(other.length + 1);
  return concat(input.subarray(0, cut), other.subarray(aligned));
};

/** Changes a big-endian number of 1, 2, 4 or 8 bytes, as if it were a length, a count or a counter. */
const tweakNumber: Mutator = (input, random) => {
  const size = random.pick([1, 2, 4, 8]);
  if (input.length < size) return input;
  const view = new DataView(input.buffer, random.below(input.length - size + 1), size);
  const limit = 1n << BigInt(8 * size);
  let value = 0n;
  for (let i = 0; i < size; i++) value = (value << 8n) | BigInt(view.getUint8(i));
  const changed = random.pick([
    value + 1n,
    value - 1n,
    value + BigInt(random.between(-16, 16)),
    0n,
    limit - 1n,
    limit / 2n,
    limit / 2n - 1n,
    BigInt(input.length),
  ]);
  let rest = (changed + limit) % limit;
  for (let i = size - 1; i >= 0; i--) {
    view.setUint8(i, Number(rest & 0xffn));
    rest >>= 8n;
  }
  return input;
};

const insertWord: Mutator = (input, random, _corpus, dictionary) =>
  replaced(input, random.below(input.length + 1), 0, random.pick(dictionary));

const overwriteWithWord: Mutator = (input, random, _corpus, dictionary) => {
  const [from, length] = rangeIn(input, random);
  return replaced(input, from, length, random.pick(dictionary));
};

const MUTATORS: readonly Mutator[] = [
  flipBit,
  flipBit,
  setByte,
  insertBytes,
  deleteBytes,
  truncate,
  repeatPiece,
  splice,
  tweakNumber,
  tweakNumber,
];

const WORD_MUTATORS: readonly Mutator[] = [...MUTATORS, insertWord, insertWord, overwriteWithWord];

/** Returns a place in `input` and a length from there, mostly a short one. */
function rangeIn(input: Bytes, random: SeededRandom): readonly [from: number, length: number] {
  const from = random.below(input.length + 1);
  const most = input.length - from;
  return [from, random.between(0, random.chance(0.8) ? Math.min(most, 8) : most)];
}

/** Returns `input` with `length` bytes at `from` replaced by `piece`. */
function replaced(input: Bytes, from: number, length: number, piece: Uint8Array): Bytes {
  return concat(input.subarray(0, from), piece, input.subarray(from + length));
}
