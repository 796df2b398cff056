/** What a person at a terminal sees: prompts that show nothing of a passphrase, and answers at once. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

import { TALOS } from "../../scripts/talos_process.ts";

const DRIVER = fileURLToPath(new URL("terminal_driver.py", import.meta.url));

/** Windows has no pseudo-terminals that Python could drive. */
const NO_TERMINAL = Deno.build.os === "windows" ||
  !await new Deno.Command("python3", { args: ["-c", "import pty"], stdout: "null", stderr: "null" })
    .output().then(({ success }) => success, () => false);

const UNLESS = NO_TERMINAL ? " (python3 and pseudo-terminals are missing here)" : "";

/** What somebody types once something is shown. */
type Dialogue = readonly (readonly [shown: string, typed: string])[];

/** Runs talos at a terminal and returns what was shown there. */
async function atTerminal(home: string, args: readonly string[], dialogue: Dialogue) {
  const { code, stdout, stderr } = await new Deno.Command("python3", {
    args: [DRIVER, JSON.stringify(dialogue), ...TALOS, "--home", home, ...args],
    env: { TERM: "xterm-256color", FORCE_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  assert.equal(decoder.decode(stderr), "");
  return { code, shown: decoder.decode(stdout).replaceAll("\r\n", "\n") };
}

async function temporaryHome(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-terminal-" }));
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

const NEW: Dialogue = [
  ["New passphrase: ", "correct horse\n"],
  ["The same once more: ", "correct horse\n"],
];

function terminalTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name: `${name}${UNLESS}`, ignore: NO_TERMINAL, fn });
}

terminalTest(
  "talos init --passphrase asks twice at a terminal and shows nothing of it",
  async () => {
    await using home = await temporaryHome();
    const { code, shown } = await atTerminal(
      home.path,
      ["init", "--name", "a", "--passphrase"],
      NEW,
    );
    assert.equal(code, 0, shown);
    assert.match(shown, /^New passphrase: \nThe same once more: \nPeer ID: z6Mk/);
    assert.doesNotMatch(shown, /horse/);
  },
);

terminalTest("talos init --passphrase makes no wallet when the two differ", async () => {
  await using home = await temporaryHome();
  const { code, shown } = await atTerminal(home.path, ["init", "--name", "a", "--passphrase"], [
    ["New passphrase: ", "correct horse\n"],
    ["The same once more: ", "correct hose\n"],
  ]);
  assert.equal(code, 1);
  assert.match(shown, /talos: Cannot use the passphrase: the two that were typed differ/);
  await assert.rejects(Deno.stat(`${home.path}/wallet.json`), Deno.errors.NotFound);
});

terminalTest(
  "talos init --passphrase gives up when Ctrl-C is typed, and leaves the terminal as it was",
  async () => {
    await using home = await temporaryHome();
    const { code, shown } = await atTerminal(home.path, ["init", "--name", "a", "--passphrase"], [
      ["New passphrase: ", "correct\u0003"],
    ]);
    assert.equal(code, 1, shown);
    assert.match(shown, /^New passphrase: \ntalos: No passphrase was given\n/);
  },
);

terminalTest(
  "talos mcp-serve asks for the passphrase at a terminal until it is the right one",
  async () => {
    await using home = await temporaryHome();
    await atTerminal(home.path, ["init", "--name", "a", "--passphrase"], NEW);
    const { code, shown } = await atTerminal(
      home.path,
      ["mcp-serve", "--port", "0", "--host", "127.0.0.1", "--command", "cat"],
      [
        ["Passphrase of the wallet: ", "wrong\n"],
        ["That was not it. Passphrase of the wallet: ", "correct horse\n"],
        ["next, on the agent's machine: ", "\u0003"],
      ],
    );
    assert.equal(code, 0, shown);
    assert.match(shown, /^talos: sharing "default" as a on 127\.0\.0\.1:\d+$/m);
    assert.doesNotMatch(shown, /horse|wrong/);
  },
);

terminalTest("talos mcp-connect never asks at a terminal, where its agent would be", async () => {
  await using home = await temporaryHome();
  const made = await atTerminal(home.path, ["init", "--name", "a", "--passphrase"], NEW);
  const peerId = /z6Mk\w{44}/.exec(made.shown)?.[0] ?? assert.fail(made.shown);
  const { code, shown } = await atTerminal(home.path, ["mcp-connect", `${peerId}@127.0.0.1:1`], []);
  assert.equal(code, 1);
  assert.match(shown, /^talos: Cannot ask for the passphrase: there is no terminal here$/m);
});

terminalTest(
  "talos mcp-connect says at once that nothing listens when a person runs it",
  async () => {
    await using home = await temporaryHome();
    const made = await atTerminal(home.path, ["init", "--name", "a"], []);
    const peerId = /z6Mk\w{44}/.exec(made.shown)?.[0] ?? assert.fail(made.shown);
    const { code, shown } = await atTerminal(
      home.path,
      ["mcp-connect", `${peerId}@127.0.0.1:1`],
      [],
    );
    assert.equal(code, 4, shown);
    assert.match(shown, /^talos: Cannot connect to 127\.0\.0\.1:1: nothing listens there/);
    assert.doesNotMatch(shown, /trying again/);
  },
);

terminalTest("talos prints no colours at a terminal that has them", async () => {
  await using home = await temporaryHome();
  const commands = [["--help"], [], ["frobnicate"], ["init", "--name", "a"], ["status"], [
    "version",
  ]];
  for (const args of commands) {
    const { shown } = await atTerminal(home.path, args, []);
    // deno-lint-ignore no-control-regex -- the beginning of every colour
    assert.doesNotMatch(shown, /\u001b/, args.join(" "));
    assert.ok(shown.length > 5);
  }
});
