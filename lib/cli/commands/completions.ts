/** `talos completions SHELL`: what makes a shell complete `talos` commands. */

import type { Command } from "commander";
import { type CompletedCommand, completionScript, isShell, SHELLS } from "../completion_script.ts";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import type { NextStep } from "../output.ts";

/** Prints the script for `shell`. Throws CliError "usage" for a shell that has none. */
export function completionsCommand({ output }: Context, shell: string, program: Command): void {
  if (!isShell(shell)) {
    throw new CliError("usage", `Cannot complete for ${JSON.stringify(shell)}: no such shell`, {
      hints: [`these are known: ${SHELLS.join(", ")}`],
    });
  }
  const script = completionScript(shell, completedCommands(program));
  output.result(script, { shell, script }, [INSTALL[shell]]);
}

const INSTALL: Readonly<Record<typeof SHELLS[number], NextStep>> = {
  bash: {
    purpose: "use it now and ever after",
    command: "echo 'source <(talos completions bash)' >> ~/.bashrc && exec bash",
  },
  zsh: {
    purpose: "use it now and ever after",
    command: "echo 'source <(talos completions zsh)' >> ~/.zshrc && exec zsh",
  },
  fish: {
    purpose: "use it now and ever after",
    command: "talos completions fish > ~/.config/fish/completions/talos.fish",
  },
  powershell: {
    purpose: "use it ever after",
    command: "talos completions powershell >> $PROFILE",
  },
};

/** Returns a command and all below it, each with the words that lead to it. */
function completedCommands(command: Command, path = ""): CompletedCommand[] {
  const below = command.commands.filter((one) => one.name() !== "help");
  const own = {
    path,
    commands: below.map((one) => one.name()),
    options: command.options.filter(({ hidden }) => !hidden).flatMap(({ long }) => long ?? []),
  };
  return [
    own,
    ...below.flatMap((one) =>
      completedCommands(one, path === "" ? one.name() : `${path} ${one.name()}`)
    ),
  ];
}
