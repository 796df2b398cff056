/**
 * Asking a person something that nobody else may see.
 *
 * While a line is read, the terminal is in raw mode: nothing is echoed, and Ctrl-C reaches us as a
 * character, so that the terminal is put back in every case before anything else happens. Backspace,
 * Ctrl-U (start again), Enter, Ctrl-C and Ctrl-D (give up) work as people expect. Other control
 * characters, an arrow key's among them, become part of the line, where whoever asked refuses them:
 * better than a passphrase that is not what its owner believes.
 */

import { fromUtf8, utf8 } from "../bytes.ts";
import { MAX_PASSPHRASE_BYTES } from "../limits.ts";
import { IdentityError } from "./errors.ts";

/** A terminal: what reading a hidden line needs. */
export interface Terminal {
  /** Tells whether a person sees the question and types the answer here. */
  isInteractive(): boolean;
  /** Turns raw mode, without echo and signals, on or off. */
  setRaw(on: boolean): void;
  /** Reads what was typed; null at the end. */
  read(buffer: Uint8Array): Promise<number | null>;
  /** Shows text. */
  write(text: string): void;
}

/** The terminal of this process: questions on stderr, answers on stdin. */
export const SYSTEM_TERMINAL: Terminal = {
  isInteractive: () => Deno.stdin.isTerminal() && Deno.stderr.isTerminal(),
  setRaw: (on) => Deno.stdin.setRaw(on),
  read: (buffer) => Deno.stdin.read(buffer),
  write(text) {
    const bytes = utf8(text);
    for (let at = 0; at < bytes.length;) at += Deno.stderr.writeSync(bytes.subarray(at));
  },
};

const CTRL_C = 0x03;
const CTRL_D = 0x04;
const BACKSPACE = 0x08;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const CTRL_U = 0x15;
const DELETE = 0x7f;

/**
 * Shows `question` and returns the line that is typed, without its end and without showing it.
 *
 * Throws IdentityError "passphrase_cancelled" (Ctrl-C, Ctrl-D or the end of input) and
 * "passphrase_invalid" (not UTF-8, or longer than a passphrase may be).
 */
export async function readHiddenLine(terminal: Terminal, question: string): Promise<string> {
  // Raw before anybody is asked: whoever answers at once must not see it echoed.
  terminal.setRaw(true);
  try {
    terminal.write(question);
    return await readLine(terminal);
  } finally {
    terminal.setRaw(false);
    terminal.write("\n");
  }
}

async function readLine(terminal: Terminal): Promise<string> {
  const line = new Uint8Array(MAX_PASSPHRASE_BYTES);
  // One byte at a time, so that what is typed ahead stays for the next question.
  const typed = new Uint8Array(1);
  let length = 0;
  try {
    for (;;) {
      if (await terminal.read(typed) === null) throw cancelled();
      const [byte = 0] = typed;
      if (byte === LINE_FEED || byte === CARRIAGE_RETURN) return decode(line.subarray(0, length));
      if (byte === CTRL_C || byte === CTRL_D) throw cancelled();
      if (byte === CTRL_U) length = 0;
      else if (byte === BACKSPACE || byte === DELETE) length = withoutLast(line, length);
      else if (length === line.length) throw tooLong();
      else line[length++] = byte;
    }
  } finally {
    line.fill(0);
    typed.fill(0);
  }
}

/** Returns the length without the last character, which may have several bytes. */
function withoutLast(line: Uint8Array, length: number): number {
  let shorter = Math.max(length - 1, 0);
  while (shorter > 0 && ((line[shorter] ?? 0) & 0xc0) === 0x80) shorter--;
  return shorter;
}

function decode(line: Uint8Array): string {
  try {
    return fromUtf8(line);
  } catch (cause) {
    throw new IdentityError("passphrase_invalid", "Cannot use the passphrase: it is not UTF-8", {
      cause,
    });
  }
}

function tooLong(): IdentityError {
  return new IdentityError(
    "passphrase_invalid",
    `Cannot use the passphrase: it has more than ${MAX_PASSPHRASE_BYTES} bytes`,
  );
}

function cancelled(): IdentityError {
  return new IdentityError("passphrase_cancelled", "No passphrase was given");
}
