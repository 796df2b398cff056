/**
 * A mutation that keeps MsgPack well-formed: it changes one value, key or place inside a decoded message.
 *
 * Changes of bytes rarely get past the decoder; this is what reaches the readers of fields behind it.
 */

import { type Bytes, concat } from "../lib/bytes.ts";
import { WireError } from "../lib/wire/errors.ts";
import { decode, encode, type MsgPackMap, type MsgPackValue } from "../lib/wire/msgpack.ts";
import type { SeededRandom } from "./seeded_random.ts";

/** Returns `input` with one change in the message behind its first `skip` bytes, or as it is if that is none. */
export function mutateMsgPack(input: Bytes, random: SeededRandom, skip = 0): Bytes {
  try {
    const value = changed(decode(input.subarray(skip)), random);
    return concat(input.subarray(0, skip), encode(value));
  } catch (error) {
    if (error instanceof WireError) return input;
    throw error;
  }
}

function changed(value: MsgPackValue, random: SeededRandom): MsgPackValue {
  const inside = random.chance(0.8);
  if (inside && Array.isArray(value) && value.length > 0) return changedArray(value, random);
  if (inside && value instanceof Map && value.size > 0) return changedMap(value, random);
  return random.chance(0.5) ? changedScalar(value, random) : otherValue(random);
}

function changedArray(items: readonly MsgPackValue[], random: SeededRandom): MsgPackValue {
  const at = random.below(items.length);
  const item = items[at] ?? null;
  return items.toSpliced(at, 1, ...random.pick([[], [item, item], [changed(item, random)]]));
}

function changedMap(map: MsgPackMap, random: SeededRandom): MsgPackMap {
  const [name, value] = random.pick([...map]);
  const copy = new Map(map);
  switch (random.below(6)) {
    case 0:
      copy.delete(name);
      return copy;
    case 1:
      return copy.set(name + "2", value);
    case 2:
      return new Map(random.chance(0.5) ? [...map].reverse() : [["__proto__", 1], ...map]);
    default:
      return copy.set(name, changed(value, random));
  }
}

/** Returns something of the same type, close to the value where it can be. */
function changedScalar(value: MsgPackValue, random: SeededRandom): MsgPackValue {
  if (typeof value === "number") {
    const near = value + random.between(-1, 1);
    return random.pick([
      Number.isSafeInteger(near) ? near : 0,
      0,
      -1,
      255,
      256,
      2 ** 32,
      2 ** 53 - 1,
    ]);
  }
  if (typeof value === "string") {
    return random.pick([value + "x", value.slice(1), "", value.repeat(2), "\0", "x".repeat(5000)]);
  }
  if (value instanceof Uint8Array) {
    const flipped = value.slice();
    if (flipped.length > 0) flipped[random.below(flipped.length)]! ^= 1 << random.below(8);
    return random.pick([flipped, value.slice(1), concat(value, Uint8Array.of(0))]);
  }
  return typeof value === "boolean" ? !value : otherValue(random);
}

function otherValue(random: SeededRandom): MsgPackValue {
  return random.pick<MsgPackValue>([null, true, 0, -1, "", "x", new Uint8Array(32), [], new Map()]);
}
