/**
 * What one side brings to a handshake, and the check that it is exactly what its role needs.
 *
 * A key too few would fail in the middle of the handshake, a key too many means that the caller thinks
 * of another pattern: both are refused before anything is sent. Whether a key is fresh, or whose it
 * is, cannot be checked here.
 */

import type { Bytes } from "../bytes.ts";
import { NoiseError } from "./errors.ts";
import { type HandshakePattern, keyNeeds, type Role } from "./patterns.ts";
import { type DhKeyPair, type KemFunctions, type NoiseSuite, PSK_BYTES } from "./suite.ts";

/** What a handshake is made of; the names are the specification's. */
export interface HandshakeOptions {
  /** The pattern, from `handshakePattern`. */
  readonly pattern: HandshakePattern;
  /** The primitives. */
  readonly suite: NoiseSuite;
  /** Which side this is. */
  readonly role: Role;
  /** What both sides said before and must have heard alike. */
  readonly prologue: Bytes;
  /** The static key pair, if this side has one in the pattern. */
  readonly s?: DhKeyPair | undefined;
  /** A fresh ephemeral key pair, for this handshake only. */
  readonly e?: DhKeyPair | undefined;
  /** The remote's static public key, if the pattern has it known beforehand. */
  readonly rs?: Bytes | undefined;
  /** One pre-shared key of 32 bytes for each psk token, in order. */
  readonly psks?: readonly Bytes[] | undefined;
  /** The fresh seed of the KEM key pair, for the side that sends `e1`. */
  readonly kemSeed?: Bytes | undefined;
  /** Fresh randomness of the encapsulation, for the side that sends `ekem1`. */
  readonly kemRandom?: Bytes | undefined;
}

/** Returns the full protocol name (§8); the KEM is named only where the pattern uses it. */
export function protocolName(pattern: HandshakePattern, suite: NoiseSuite): string {
  const hybrid = suite.kem !== undefined && usesKem(pattern) ? `+${suite.kem.name}` : "";
  return `Noise_${pattern.name}_${suite.dh.name}${hybrid}_${suite.cipher.name}_${suite.hash.name}`;
}

/**
 * Refuses whatever differs from what the role needs: throws NoiseError "missing_key", "unexpected_key"
 * or "bad_length".
 */
export function requireKeys(options: HandshakeOptions): void {
  const { pattern, suite, role } = options;
  const needs = keyNeeds(pattern, role);
  const kem = usesKem(pattern) ? requireKem(suite) : undefined;
  const dhLength = suite.dh.publicKeyBytes;
  const check = (name: string, needed: boolean, given: Bytes | undefined, length: number) => {
    if (needed !== (given !== undefined)) {
      throw new NoiseError(
        needed ? "missing_key" : "unexpected_key",
        `Cannot begin ${pattern.name} as ${role}: ${name} is ${needed ? "missing" : "not used"}`,
      );
    }
    if (given !== undefined && given.length !== length) {
      throw new NoiseError(
        "bad_length",
        `Cannot begin ${pattern.name} as ${role}: ${name} has ${given.length} bytes, it must have ${length}`,
      );
    }
  };
  check("s", needs.s, options.s?.publicKey, dhLength);
  check("e", needs.e, options.e?.publicKey, dhLength);
  check("rs", needs.rs, options.rs, dhLength);
  check("kemSeed", needs.kemSeed, options.kemSeed, kem?.seedBytes ?? 0);
  check("kemRandom", needs.kemRandom, options.kemRandom, kem?.randomBytes ?? 0);
  const psks = options.psks ?? [];
  for (let i = 0; i < Math.max(needs.psks, psks.length); i++) {
    check(`psk ${i}`, i < needs.psks, psks[i], PSK_BYTES);
  }
}

/** Returns the KEM of `suite`. Throws NoiseError "missing_key" when it has none. */
export function requireKem(suite: NoiseSuite): KemFunctions {
  return present("the suite's KEM", suite.kem);
}

/**
 * Returns a value that {@link requireKeys} and the order of a sound pattern's tokens guarantee. Throws
 * NoiseError "missing_key" where a pattern is unsound.
 */
export function present<Value>(name: string, value: Value | undefined): Value {
  if (value !== undefined) return value;
  throw new NoiseError("missing_key", `Cannot go on with the handshake: ${name} is missing`);
}

function usesKem(pattern: HandshakePattern): boolean {
  return pattern.messages.some((line) => line.tokens.includes("e1"));
}
