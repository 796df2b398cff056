/**
 * Byte strings: the one type they have in Talos and the few operations on them.
 *
 * Integers on the wire are big-endian. Nothing here knows any protocol.
 */

/** A byte string over an ordinary (not shared) buffer. */
export type Bytes = Uint8Array<ArrayBuffer>;

const encoder = new TextEncoder();
const strictDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const lossyDecoder = new TextDecoder("utf-8", { fatal: false, ignoreBOM: true });

/** The empty byte string. */
export const EMPTY: Bytes = new Uint8Array(0);

/** Returns the UTF-8 form of `text`. */
export function utf8(text: string): Bytes {
  return encoder.encode(text);
}

/** Returns the text of UTF-8 `bytes`, a byte order mark included. Throws TypeError when invalid. */
export function fromUtf8(bytes: Uint8Array): string {
  return strictDecoder.decode(bytes);
}

/** Returns the text of `bytes`, each invalid sequence replaced by U+FFFD. Never throws. */
export function fromUtf8Lossy(bytes: Uint8Array): string {
  return lossyDecoder.decode(bytes);
}

/** Returns one new byte string that holds `parts` one after the other. */
export function concat(...parts: readonly Uint8Array[]): Bytes {
  let length = 0;
  for (const part of parts) length += part.length;
  const whole = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** Tells whether two public byte strings are equal. Not constant-time: not for secrets. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Returns the lower-case hexadecimal form of `bytes`. */
export function hex(bytes: Uint8Array): string {
  return bytes.toHex();
}

/** Returns the bytes of a hexadecimal string. Throws SyntaxError when it is not one. */
export function fromHex(text: string): Bytes {
  return Uint8Array.fromHex(text);
}

/** Returns the base64url form (RFC 4648 §5) of `bytes`, without padding. */
export function base64url(bytes: Uint8Array): string {
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}

/**
 * Returns the bytes of an unpadded base64url string. Throws SyntaxError for padding, foreign
 * characters and non-zero trailing bits, so that each byte string has exactly one form.
 */
export function fromBase64url(text: string): Bytes {
  if (/[^A-Za-z0-9_-]/.test(text)) throw new SyntaxError("not base64url");
  const padded = text + "=".repeat((4 - (text.length % 4)) % 4);
  return Uint8Array.fromBase64(padded, { alphabet: "base64url", lastChunkHandling: "strict" });
}
