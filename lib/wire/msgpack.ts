/**
 * MsgPack, as strict as a protocol needs it: one value, one encoding.
 *
 * The subset is nil, bool, integers within ±(2^53 − 1), str, bin, array, and map with str keys. Floats,
 * extensions and timestamps do not exist here. `decode` takes only the shortest form of everything, so
 * whatever decodes re-encodes to the same bytes; it checks every announced length against what remains
 * before it allocates, and bounds nesting and the number of values. Maps become `Map`: it keeps every
 * key in its place, where a record would move `"1"` to the front and give `__proto__` a meaning. What
 * the fields of a message must be is not decided here but in `fields.ts`.
 */
export { decode } from "./msgpack_decoder.ts";
export { encode } from "./msgpack_encoder.ts";
export type { MsgPackInput, MsgPackMap, MsgPackOptions, MsgPackValue } from "./msgpack_format.ts";
