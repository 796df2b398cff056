/**
 * What MsgPack values are in TypeScript, and the first bytes of their encodings.
 *
 * Only the subset that `msgpack.ts` describes; the bytes left out (0xc1, floats, extensions) are refused.
 * Numbering as in the MessagePack specification, section "Formats". The module's users import the types
 * from `msgpack.ts`; the numbers are for the decoder and the encoder alone.
 */
import type { Bytes } from "../bytes.ts";

/** A decoded map, its entries in the order of the bytes. */
export type MsgPackMap = Map<string, MsgPackValue>;

/** What `decode` returns. Numbers are integers within ±(2^53 − 1). */
export type MsgPackValue = null | boolean | number | string | Bytes | MsgPackValue[] | MsgPackMap;

/**
 * What `encode` takes: anything that `decode` returns, and plain records, whose entries are written in
 * the order of `Object.keys` and left out where the value is `undefined`.
 */
export type MsgPackInput =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | readonly MsgPackInput[]
  | ReadonlyMap<string, MsgPackInput>
  | { readonly [key: string]: MsgPackInput | undefined };

/** Bounds of one call. */
export interface MsgPackOptions {
  /** Array items and map entries at all depths together; {@link MAX_MSGPACK_ELEMENTS} by default. */
  readonly maxElements?: number;
}

/** First bytes of the families whose head holds the number too. */
export const FIXMAP = 0x80;
/** A short array: its count in the low 4 bits. */
export const FIXARRAY = 0x90;
/** A short text: its length in the low 5 bits. */
export const FIXSTR = 0xa0;
/** A small negative integer: its low 5 bits. */
export const NEGATIVE_FIXINT = 0xe0;

/** The numbers that such a head holds: below an end, from a least one. */
export const FIXMAP_END = 16;
/** Behind the longest {@link FIXARRAY}. */
export const FIXARRAY_END = 16;
/** Behind the longest {@link FIXSTR}. */
export const FIXSTR_END = 32;
/** Behind the greatest integer that is its own first byte. */
export const FIXINT_END = 128;
/** The least {@link NEGATIVE_FIXINT}. */
export const FIXINT_LEAST = -32;

/** The other first bytes. In a family the one for the next longer {@link Form} is one higher. */
export const NIL = 0xc0;
/** The first byte of `false`. */
export const FALSE = 0xc2;
/** The first byte of `true`. */
export const TRUE = 0xc3;
/** A byte string with a length of one byte. */
export const BIN8 = 0xc4;
/** An unsigned integer of one byte. */
export const UINT8 = 0xcc;
/** A signed integer of one byte. */
export const INT8 = 0xd0;
/** A text with a length of one byte. */
export const STR8 = 0xd9;
/** An array with a count of two bytes. */
export const ARRAY16 = 0xdc;
/** A map with a count of two bytes. */
export const MAP16 = 0xde;

/** The size of a number behind a head: 2^form bytes. */
export type Form = 0 | 1 | 2 | 3;

/** One more than a u32 holds. */
export const TWO_32 = 2 ** 32;
