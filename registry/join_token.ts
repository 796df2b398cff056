/**
 * The join token of a private registry: a secret that whoever may use it knows.
 *
 * It is read from a file and held as a digest: comparing takes the same time whatever is wrong with a guess.
 */

import { timingSafeEqual } from "node:crypto";

import { fromUtf8, utf8 } from "../lib/bytes.ts";
import { sha256 } from "../lib/crypto/sha256.ts";
import { messageOf } from "../lib/errors.ts";
import { readFileBounded } from "../lib/identity/atomic_file.ts";
import { ACCESSIBLE_BY_OTHERS, ownUid, permissionFault } from "../lib/identity/file_permissions.ts";
import { MAX_JOIN_TOKEN_BYTES, MAX_JOIN_TOKEN_FILE_BYTES } from "../lib/limits.ts";
import type { Log } from "../lib/log.ts";
import { RegistryError } from "./errors.ts";
import { MIN_JOIN_TOKEN_BYTES } from "./limits.ts";

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
 * Reads the token in the file at `path`, white space around it ignored. Throws RegistryError
 * "token_invalid" when it cannot be read or holds no token. A file that others can read is warned about
 * alone, as peers do: containers mount secrets so.
 */
export async function readJoinToken(path: string, log: Log): Promise<JoinToken> {
  let text: string;
  try {
    const file = await readFileBounded(path, MAX_JOIN_TOKEN_FILE_BYTES);
    if (file === null) throw invalid(`there is no file ${path}`);
    text = fromUtf8(file.bytes);
    const fault = permissionFault(path, file.info, ACCESSIBLE_BY_OTHERS, ownUid());
    if (fault !== null) log.warn("others can read the join token", { path, cure: fault.hint });
  } catch (error) {
    if (error instanceof RegistryError) throw error;
    throw invalid(`${path}: ${messageOf(error)}`, error);
  }
  return new JoinToken(text.trim());
}

function invalid(state: string, cause?: unknown): RegistryError {
  return new RegistryError("token_invalid", `Cannot use the join token: ${state}`, {
    cause,
    hints: ["make one: (umask 077; head -c 24 /dev/urandom | base64 > FILE)"],
  });
}
