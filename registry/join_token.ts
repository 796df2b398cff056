/**
 * The join token of a private registry: a secret that whoever may use it knows.
 *
 * It is read from a file that only its owner can read, and held as a digest: comparing takes the same time
 * whatever is wrong with a guess.
 */

import { timingSafeEqual } from "node:crypto";

import { fromUtf8, utf8 } from "../lib/bytes.ts";
import { sha256 } from "../lib/crypto/sha256.ts";
import { messageOf } from "../lib/errors.ts";
import { readFileBounded } from "../lib/identity/atomic_file.ts";
import { ACCESSIBLE_BY_OTHERS, ownUid, permissionFault } from "../lib/identity/file_permissions.ts";
import { RegistryError } from "./errors.ts";
import { MAX_JOIN_TOKEN_BYTES, MIN_JOIN_TOKEN_BYTES } from "./limits.ts";

/** More is no token, whatever white space there is around it. */
const MAX_FILE_BYTES = 4096;

const VISIBLE_ASCII = /^[\x21-\x7e]+$/;

/** A registry's join token. Printing it shows nothing. */
export class JoinToken {
  readonly #digest: Uint8Array;

  /** Takes the token. Throws RegistryError "token_invalid". */
  constructor(token: string) {
    const { length } = token;
    if (!VISIBLE_ASCII.test(token)) {
      throw invalid("it is not one word of visible ASCII characters");
    }
    if (length < MIN_JOIN_TOKEN_BYTES || length > MAX_JOIN_TOKEN_BYTES) {
      throw invalid(
        `it has ${length} characters, not ${MIN_JOIN_TOKEN_BYTES} to ${MAX_JOIN_TOKEN_BYTES}`,
      );
    }
    this.#digest = sha256(utf8(token));
  }

  /** Tells whether `token` is this one, in constant time. */
  matches(token: string): boolean {
    return timingSafeEqual(sha256(utf8(token)), this.#digest);
  }
}

/**
 * Reads the token in the file at `path`, white space around it ignored.
 *
 * Throws RegistryError "token_permissions" when others can read or write the file, "token_invalid" when it
 * cannot be read or holds no token.
 */
export async function readJoinToken(path: string): Promise<JoinToken> {
  let text: string;
  try {
    const file = await readFileBounded(path, MAX_FILE_BYTES, (info) => requirePrivate(path, info));
    if (file === null) throw invalid(`there is no file ${path}`);
    text = fromUtf8(file.bytes);
  } catch (error) {
    if (error instanceof RegistryError) throw error;
    throw invalid(`${path}: ${messageOf(error)}`, error);
  }
  return new JoinToken(text.trim());
}

function requirePrivate(path: string, info: Deno.FileInfo): void {
  const fault = permissionFault(path, info, ACCESSIBLE_BY_OTHERS, ownUid());
  if (fault === null) return;
  throw new RegistryError(
    "token_permissions",
    `Cannot use the join token in ${path}: ${fault.state}`,
    { hints: [fault.hint, "if somebody may have read it, make a new one"] },
  );
}

function invalid(state: string, cause?: unknown): RegistryError {
  return new RegistryError("token_invalid", `Cannot use the join token: ${state}`, {
    cause,
    hints: ["make one: (umask 077; head -c 24 /dev/urandom | base64 > FILE)"],
  });
}
