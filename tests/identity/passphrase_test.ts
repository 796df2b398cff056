/** Where passphrases come from, and that a prompt shows nothing and always restores the terminal. */

import assert from "node:assert/strict";
import { utf8 } from "../../lib/bytes.ts";
import {
  checkPassphrase,
  type PassphraseOptions,
  passphraseSource,
} from "../../lib/identity/passphrase.ts";
import { readHiddenLine, type Terminal } from "../../lib/identity/terminal.ts";
import { SILENT } from "../../lib/log.ts";
import { codeOf, keptLog, messageFrom, temporaryHome } from "./temporary_home.ts";

const POSIX = Deno.build.os !== "windows";

/** A terminal at which somebody has typed `input` ahead. */
class TypedTerminal implements Terminal {
  shown = "";
  raw = false;
  readonly #input: Uint8Array;
  readonly #interactive: boolean;
  #at = 0;

  constructor(input: string | Uint8Array, interactive = true) {
    this.#input = typeof input === "string" ? utf8(input) : input;
    this.#interactive = interactive;
  }

  isInteractive(): boolean {
    return this.#interactive;
  }

  setRaw(on: boolean): void {
    this.raw = on;
  }

  read(buffer: Uint8Array): Promise<number | null> {
    // Whoever reads outside raw mode shows what is typed.
    assert.ok(this.raw, "read while the terminal echoes");
    if (this.#at >= this.#input.length) return Promise.resolve(null);
    const part = this.#input.subarray(this.#at, this.#at + buffer.length);
    buffer.set(part);
    this.#at += part.length;
    return Promise.resolve(part.length);
  }

  write(text: string): void {
    this.shown += text;
  }
}

function source(options: Partial<PassphraseOptions> & { file?: string }) {
  const { file, terminal = null, log = SILENT } = options;
  return passphraseSource({
    env: (name) => name === "TALOS_PASSPHRASE_FILE" ? file : undefined,
    terminal,
    log,
  });
}

Deno.test("passphraseSource() takes the file before the terminal, and only one attempt from it", async () => {
  await using home = await temporaryHome();
  const file = `${home.paths.home}/pass`;
  Deno.writeTextFileSync(file, "from the file\n", { mode: 0o600 });
  const terminal = new TypedTerminal("from the terminal\n");
  const chosen = source({ file, terminal });
  assert.equal(chosen.attempts, 1);
  assert.equal(await chosen.passphrase("unlock", 1), "from the file");
  assert.equal(terminal.shown, "");
});

Deno.test("passphraseSource() asks on the terminal when no file is named", async () => {
  const terminal = new TypedTerminal("secret words\r");
  const chosen = source({ file: "", terminal });
  assert.equal(chosen.attempts, 3);
  assert.equal(await chosen.passphrase("unlock", 1), "secret words");
  assert.equal(terminal.shown, "Passphrase of the wallet: \n");
  assert.equal(terminal.raw, false);
});

Deno.test("passphraseSource() says so when the passphrase before was not it", async () => {
  const terminal = new TypedTerminal("b\n");
  await source({ terminal }).passphrase("unlock", 2);
  assert.equal(terminal.shown, "That was not it. Passphrase of the wallet: \n");
});

Deno.test("passphraseSource() throws wallet_locked, with the variable to set, when it may not or cannot ask", async () => {
  for (const terminal of [null, new TypedTerminal("x\n", false)]) {
    const chosen = source({ terminal });
    await assert.rejects(
      chosen.passphrase("unlock", 1),
      (error) =>
        error instanceof Error && "code" in error && error.code === "wallet_locked" &&
        "hints" in error && /TALOS_PASSPHRASE_FILE/.test(String(error.hints)),
    );
  }
});

Deno.test("passphraseSource() asks twice for a new passphrase and refuses two that differ", async () => {
  const same = new TypedTerminal("one\none\n");
  assert.equal(await source({ terminal: same }).passphrase("create", 1), "one");
  assert.equal(same.shown, "New passphrase: \nThe same once more: \n");
  const differ = source({ terminal: new TypedTerminal("one\ntwo\n") });
  assert.match(
    await messageFrom(() => differ.passphrase("create", 1)),
    /two that were typed differ/,
  );
  const forms = source({ terminal: new TypedTerminal("caf\u00e9\ncafe\u0301\n") });
  assert.equal(await forms.passphrase("create", 1), "caf\u00e9");
});

Deno.test("passphraseSource() strips one line break from the file and nothing else", async () => {
  await using home = await temporaryHome();
  const file = `${home.paths.home}/pass`;
  for (
    const [text, expected] of [["a", "a"], ["a\n", "a"], ["a\r\n", "a"], [" a ", " a "]] as const
  ) {
    Deno.writeTextFileSync(file, text, { mode: 0o600 });
    assert.equal(await source({ file }).passphrase("unlock", 1), expected);
  }
  for (const text of ["", "\n", "a\n\n", "a\nb\n", "a\rb", "a\0b"]) {
    Deno.writeTextFileSync(file, text);
    assert.equal(
      await codeOf(() => source({ file }).passphrase("unlock", 1)),
      "passphrase_invalid",
    );
  }
});

Deno.test("passphraseSource() throws passphrase_file when the file cannot be used, and never asks instead", async () => {
  await using home = await temporaryHome();
  const file = `${home.paths.home}/pass`;
  const terminal = new TypedTerminal("x\n");
  const message = () => messageFrom(() => source({ file, terminal }).passphrase("unlock", 1));
  assert.equal(
    await codeOf(() => source({ file, terminal }).passphrase("unlock", 1)),
    "passphrase_file",
  );
  assert.match(await message(), /pass: there is no such file/);
  Deno.writeFileSync(file, new Uint8Array([0xff]), { mode: 0o600 });
  assert.match(await message(), /it is not UTF-8/);
  Deno.writeTextFileSync(file, "x".repeat(1027));
  assert.match(await message(), /it is longer than 1026 bytes/);
  Deno.removeSync(file);
  Deno.mkdirSync(file);
  assert.match(await message(), /it is a directory/);
  assert.equal(terminal.shown, "");
});

Deno.test({
  name:
    "passphraseSource() warns when others can read the file and refuses one that they can write",
  ignore: !POSIX,
  async fn() {
    await using home = await temporaryHome();
    const file = `${home.paths.home}/pass`;
    Deno.writeTextFileSync(file, "x\n");
    Deno.chmodSync(file, 0o444);
    const { log, lines } = keptLog();
    assert.equal(await source({ file, log }).passphrase("unlock", 1), "x");
    assert.match(lines[0] ?? "", /warning: others can read the passphrase file .*chmod 600/);
    Deno.chmodSync(file, 0o622);
    assert.equal(await codeOf(() => source({ file }).passphrase("unlock", 1)), "passphrase_file");
  },
});

Deno.test({
  name: "passphraseSource() reads a pipe",
  ignore: !POSIX,
  async fn() {
    await using home = await temporaryHome();
    const file = `${home.paths.home}/pipe`;
    await new Deno.Command("mkfifo", { args: ["-m", "600", file] }).output();
    const read = source({ file }).passphrase("unlock", 1);
    await Deno.writeTextFile(file, "through a pipe\n");
    assert.equal(await read, "through a pipe");
  },
});

Deno.test("checkPassphrase() gives normal form C and never quotes what it refuses", async () => {
  assert.equal(checkPassphrase("e\u0301"), "\u00e9");
  assert.equal(checkPassphrase("ü".repeat(512)).length, 512);
  const refused = await messageFrom(() => checkPassphrase("hunter2\x1b" + "ü".repeat(512)));
  assert.equal(refused, "Cannot use the passphrase: it has 1032 bytes, the limit is 1024");
  assert.equal((await messageFrom(() => checkPassphrase("hunter2\n"))).includes("hunter2"), false);
});

const LINES: readonly (readonly [what: string, typed: string, line: string])[] = [
  ["Enter ends it", "abc\n", "abc"],
  ["a carriage return ends it", "abc\rdef\n", "abc"],
  ["Backspace is typed", "abd\x7fc\n", "abc"],
  ["Ctrl-H is typed", "abd\x08c\n", "abc"],
  ["Backspace is typed at the beginning", "\x7f\x7fabc\n", "abc"],
  ["Backspace takes a whole character of several bytes", "aü\x7f😀\x7fb\n", "ab"],
  ["Ctrl-U is typed", "wrong\x15abc\n", "abc"],
  ["nothing is typed", "\n", ""],
  ["an arrow key is typed, visibly for the check", "a\x1b[Ab\n", "a\x1b[Ab"],
  ["it is as long as it may be", "x".repeat(1024) + "\n", "x".repeat(1024)],
];

for (const [what, typed, line] of LINES) {
  Deno.test(`readHiddenLine() gives the line when ${what}`, async () => {
    const terminal = new TypedTerminal(typed);
    assert.equal(await readHiddenLine(terminal, "? "), line);
    assert.equal(terminal.shown, "? \n");
    assert.equal(terminal.raw, false);
  });
}

Deno.test("readHiddenLine() throws and restores the terminal when Ctrl-C, Ctrl-D or the end comes", async () => {
  for (const typed of ["abc\x03def\n", "abc\x04def\n", "abc", ""]) {
    const terminal = new TypedTerminal(typed);
    assert.equal(await codeOf(() => readHiddenLine(terminal, "? ")), "passphrase_cancelled");
    assert.equal(terminal.raw, false);
    assert.equal(terminal.shown, "? \n");
  }
});

Deno.test("readHiddenLine() throws passphrase_invalid when the line is too long or not UTF-8", async () => {
  const long = new TypedTerminal("x".repeat(1025) + "\n");
  assert.equal(await codeOf(() => readHiddenLine(long, "? ")), "passphrase_invalid");
  assert.equal(long.raw, false);
  const latin1 = new TypedTerminal(new Uint8Array([0xfc, 0x0a]));
  assert.equal(await codeOf(() => readHiddenLine(latin1, "? ")), "passphrase_invalid");
});

Deno.test("readHiddenLine() leaves what is typed ahead for the next question", async () => {
  const terminal = new TypedTerminal("one\ntwo\n");
  assert.equal(await readHiddenLine(terminal, "? "), "one");
  assert.equal(await readHiddenLine(terminal, "? "), "two");
});
