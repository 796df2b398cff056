import assert from "node:assert/strict";

import {
  type CompletedCommand,
  completionScript,
  isShell,
  SHELLS,
} from "../../lib/cli/completion_script.ts";

const COMMANDS: readonly CompletedCommand[] = [
  { path: "", commands: ["status", "contacts"], options: ["--json"] },
  { path: "status", commands: [], options: ["--json"] },
  { path: "contacts", commands: ["add", "list"], options: ["--json"] },
  { path: "contacts add", commands: [], options: ["--json", "--home"] },
  { path: "contacts list", commands: [], options: [] },
];

/** Returns what bash completes for `words`, the last of which is being typed. */
async function completedByBash(...words: string[]): Promise<string[]> {
  const { stdout, success } = await new Deno.Command("bash", {
    args: [
      "-c",
      `${completionScript("bash", COMMANDS)}
      COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _talos; echo "\${COMPREPLY[@]}"`,
      "bash",
      "talos",
      ...words,
    ],
  }).output();
  assert.ok(success);
  return new TextDecoder().decode(stdout).trim().split(" ").filter((word) => word !== "");
}

const NO_BASH = !await new Deno.Command("bash", {
  args: ["-c", "compgen -W x"],
  stdout: "null",
  stderr: "null",
})
  .output().then(({ success }) => success, () => false);

Deno.test({
  name: `completionScript() completes commands, those below and options in bash${
    NO_BASH ? " (no bash here)" : ""
  }`,
  ignore: NO_BASH,
  fn: async () => {
    assert.deepEqual(await completedByBash(""), ["status", "contacts", "--json"]);
    assert.deepEqual(await completedByBash("st"), ["status"]);
    assert.deepEqual(await completedByBash("contacts", ""), ["add", "list", "--json"]);
    assert.deepEqual(await completedByBash("--json", "contacts", "add", "--h"), ["--home"]);
    assert.deepEqual(await completedByBash("contacts", "add", "anna", "--"), ["--json", "--home"]);
    assert.deepEqual(await completedByBash("contacts", "list", ""), []);
    assert.deepEqual(await completedByBash("status", "--", ""), []);
  },
});

Deno.test("completionScript() lets zsh run what bash runs", () => {
  assert.ok(completionScript("zsh", COMMANDS).startsWith("autoload -Uz bashcompinit"));
});

Deno.test("completionScript() offers in fish what may follow the words that were typed", () => {
  assert.equal(
    completionScript("fish", COMMANDS),
    `complete -c talos -f -n "not __fish_seen_subcommand_from status contacts" -a "status contacts"
complete -c talos -n "not __fish_seen_subcommand_from status contacts" -l json
complete -c talos -n "__fish_seen_subcommand_from status" -l json
complete -c talos -f -n "__fish_seen_subcommand_from contacts && not __fish_seen_subcommand_from add list" -a "add list"
complete -c talos -n "__fish_seen_subcommand_from contacts && not __fish_seen_subcommand_from add list" -l json
complete -c talos -n "__fish_seen_subcommand_from contacts && __fish_seen_subcommand_from add" -l json
complete -c talos -n "__fish_seen_subcommand_from contacts && __fish_seen_subcommand_from add" -l home`,
  );
});

Deno.test("completionScript() knows every path in PowerShell", () => {
  const script = completionScript("powershell", COMMANDS);
  for (const { path } of COMMANDS) assert.ok(script.includes(`'${path}' = @(`), path);
});

Deno.test("isShell() knows the shells that have a script, and no other", () => {
  for (const shell of SHELLS) assert.ok(isShell(shell));
  for (const text of ["", "sh", "Bash", "constructor"]) assert.ok(!isShell(text));
});
