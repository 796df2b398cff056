/**
 * Where a passphrase comes from, in this order: the file that `$TALOS_PASSPHRASE_FILE` names, else a
 * prompt on the terminal, else an error that says so.
 *
 * A program that talks to its client over stdin (`mcp-connect`) forbids the prompt. A prompt needs stdin
 * *and* stderr to be terminals, so that nothing is read from a pipe by accident and the question is
 * seen; it goes to stderr, and nothing typed is shown.
 *
 * A passphrase is 1 to 1,024 bytes of UTF-8 without control characters. It is taken in Unicode normal
 * form C (as RFC 8265 §4.2 does for passwords), so that `é` typed on two systems is one passphrase.
 */

import { fromUtf8, utf8 } from "../bytes.ts";
import { messageOf } from "../errors.ts";
import { MAX_PASSPHRASE_BYTES } from "../limits.ts";
import type { Log } from "../log.ts";
import { readOpenFile } from "./atomic_file.ts";
import { IdentityError } from "./errors.ts";
import {
  ACCESSIBLE_BY_OTHERS,
  ownUid,
  permissionFault,
  WRITABLE_BY_OTHERS,
} from "./file_permissions.ts";
import type { Environment } from "./home.ts";
import { readHiddenLine, type Terminal } from "./terminal.ts";

/** The variable that names a file with the passphrase. */
export const PASSPHRASE_FILE_VARIABLE = "TALOS_PASSPHRASE_FILE";

/** Why a passphrase is wanted. */
export type PassphrasePurpose =
  /** To open a wallet. */
  | "unlock"
  /** To seal a new one; asked twice where it is typed. */
  | "create";

/** Gives passphrases. */
export interface PassphraseSource {
  /** How often it is worth asking before giving up: a file does not change its answer. */
  readonly attempts: number;
  /**
   * Returns a passphrase. Throws IdentityError "wallet_locked" (none can be had here),
   * "passphrase_file", "passphrase_invalid", "passphrase_cancelled".
   *
   * @param attempt Counted from 1; above that, the one before did not open the wallet.
   */
  passphrase(purpose: PassphrasePurpose, attempt: number): Promise<string>;
}

/** What decides where a passphrase comes from. */
export interface PassphraseOptions {
  /** Reads `$TALOS_PASSPHRASE_FILE`. */
  readonly env: Environment;
  /** The terminal to ask on; null where asking is forbidden, as for `mcp-connect`. */
  readonly terminal: Terminal | null;
  /** Takes a warning when others can read the file. */
  readonly log: Log;
}

const PROMPT_ATTEMPTS = 3;

/** Returns the source that the environment and the terminal offer. */
export function passphraseSource({ env, terminal, log }: PassphraseOptions): PassphraseSource {
  const path = env(PASSPHRASE_FILE_VARIABLE);
  if (path !== undefined && path !== "") return fileSource(path, log);
  if (terminal !== null && terminal.isInteractive()) return promptSource(terminal);
  return NO_PASSPHRASE;
}

/** The source that has none: what is locked stays locked. */
export const NO_PASSPHRASE: PassphraseSource = {
  attempts: 1,
  passphrase() {
    return Promise.reject(
      new IdentityError(
        "wallet_locked",
        "Cannot ask for the passphrase: there is no terminal here",
        {
          hints: [
            `put the passphrase into a file of mode 0600 and set ${PASSPHRASE_FILE_VARIABLE} to it`,
          ],
        },
      ),
    );
  },
};

/** Returns `text` in normal form C if it can be a passphrase. Throws IdentityError "passphrase_invalid". */
export function checkPassphrase(text: string): string {
  if (!text.isWellFormed()) throw invalid("it is not valid Unicode");
  const passphrase = text.normalize("NFC");
  if (passphrase === "") throw invalid("it is empty");
  const length = utf8(passphrase).length;
  if (length > MAX_PASSPHRASE_BYTES) {
    throw invalid(`it has ${length} bytes, the limit is ${MAX_PASSPHRASE_BYTES}`);
  }
  if (/\p{Cc}/u.test(passphrase)) throw invalid("it has a control character or a second line");
  return passphrase;
}

function fileSource(path: string, log: Log): PassphraseSource {
  return { attempts: 1, passphrase: () => readPassphraseFile(path, log) };
}

function promptSource(terminal: Terminal): PassphraseSource {
  return {
    attempts: PROMPT_ATTEMPTS,
    async passphrase(purpose, attempt) {
      if (purpose === "unlock") {
        const again = attempt > 1 ? "That was not it. " : "";
        return checkPassphrase(
          await readHiddenLine(terminal, `${again}Passphrase of the wallet: `),
        );
      }
      const first = checkPassphrase(await readHiddenLine(terminal, "New passphrase: "));
      const second = await readHiddenLine(terminal, "The same once more: ");
      if (checkPassphrase(second) === first) return first;
      throw invalid("the two that were typed differ");
    },
  };
}

/** Reads a file, or a pipe such as `<(pass show talos)`, without the line break at its end. */
async function readPassphraseFile(path: string, log: Log): Promise<string> {
  let text: string;
  try {
    using file = await Deno.open(path, { read: true });
    const info = await file.stat();
    if (info.isDirectory) throw unreadable(path, "it is a directory");
    if (info.isFile) checkFile(path, info, log);
    text = fromUtf8(await readOpenFile(file, path, MAX_PASSPHRASE_BYTES + "\r\n".length));
  } catch (error) {
    if (error instanceof IdentityError && error.code === "passphrase_file") throw error;
    throw unreadable(
      path,
      error instanceof TypeError
        ? "it is not UTF-8"
        : error instanceof Deno.errors.NotFound
        ? "there is no such file"
        : messageOf(error),
      error,
    );
  }
  return checkPassphrase(text.replace(/\r?\n$/, ""));
}

/**
 * Refuses a file that others can write: they would choose the passphrase. One that others can read is
 * only warned about, since containers mount secrets so; the wallet itself is still private.
 */
function checkFile(path: string, info: Deno.FileInfo, log: Log): void {
  const uid = ownUid();
  // A secret that the administrator provides belongs to root.
  const owner = info.uid === 0 ? 0 : uid;
  const writable = permissionFault(path, info, WRITABLE_BY_OTHERS, owner);
  if (writable !== null) throw unreadable(path, writable.state, undefined, writable.hint);
  const readable = permissionFault(path, info, ACCESSIBLE_BY_OTHERS, owner);
  if (readable !== null) {
    log.warn("others can read the passphrase file", { path, cure: readable.hint });
  }
}

function unreadable(path: string, state: string, cause?: unknown, hint?: string): IdentityError {
  return new IdentityError(
    "passphrase_file",
    `Cannot use the passphrase file ${path}: ${state}`,
    { cause, hints: [hint ?? `see what ${PASSPHRASE_FILE_VARIABLE} names`] },
  );
}

function invalid(reason: string): IdentityError {
  return new IdentityError("passphrase_invalid", `Cannot use the passphrase: ${reason}`);
}
