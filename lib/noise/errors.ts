/**
 * The errors of the Noise layer.
 *
 * Names of keys and lengths may appear in a text, no key and no plaintext ever does. Whoever talks to
 * a stranger answers none of these: the reason belongs in the local log.
 */

import { TalosError } from "../errors.ts";

/** What can go wrong in the Noise layer. */
export type NoiseErrorCode =
  /** A pattern's name or text is not one that is known. */
  | "bad_pattern"
  /** The pattern needs a key, pre-shared key or randomness that was not given. */
  | "missing_key"
  /** A key was given that the pattern has no use for. */
  | "unexpected_key"
  /** A local key or randomness has the wrong length. */
  | "bad_length"
  /** The remote's public key is not usable: low order, or refused by the KEM. */
  | "bad_remote_key"
  /** It is the other side's turn, or the handshake is over, or not over yet. */
  | "out_of_turn"
  /** An earlier failure ended this handshake; or this cipher state was destroyed. */
  | "dead"
  /** A message ends inside a field. */
  | "message_too_short"
  /** A message is longer than 65,535 bytes. */
  | "message_too_long"
  /** A ciphertext is not authentic. */
  | "decrypt_failed"
  /** All nonces of a key are used. */
  | "nonce_exhausted"
  /** A caller's output buffer ends before the result does. */
  | "buffer_too_small";

/** A deliberate error of the Noise layer. */
export class NoiseError extends TalosError<NoiseErrorCode> {}
