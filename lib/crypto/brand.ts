/**
 * Brands: types that tell byte strings of one shape apart at compile time.
 *
 * At run time a brand does not exist. So only the function that checked a value may brand it, and
 * everything else takes the branded type and need not check again.
 */

import type { Bytes } from "../bytes.ts";

/** The property that carries a brand; it exists for the type checker alone. */
declare const brand: unique symbol;

/** A `Base` that was checked to be a `Name`. */
export type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** Returns `bytes` as a `Name`. Only for the function that has just checked or made them. */
export function branded<Name extends string>(bytes: Bytes): Brand<Bytes, Name> {
  return bytes as Brand<Bytes, Name>;
}
