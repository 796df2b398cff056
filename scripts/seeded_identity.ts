/**
 * Identities that repeat, for tests and fuzzing. Whoever knows the seed knows the key: they are never used
 * for anything else.
 */

import { generateEd25519SecretKey } from "../lib/crypto/ed25519.ts";
import { LocalIdentity } from "../lib/identity/local_identity.ts";
import { SeededRandom } from "./seeded_random.ts";

/** Returns the identity whose key follows from `seed`. */
export function seededIdentity(seed: string): LocalIdentity {
  return new LocalIdentity(generateEd25519SecretKey(new SeededRandom(seed).bytes));
}
