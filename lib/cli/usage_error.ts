/** What was typed wrong: what commander says of it, in our words and with our hints. */

import type { Command, CommanderError } from "commander";
import { messageOf } from "../errors.ts";
import type { OperatingSystem } from "../identity/file_path.ts";
import { nearestName } from "../identity/similar_name.ts";
import { CliError } from "./errors.ts";
import { shellLine } from "./shell_line.ts";

/** What was typed wrong, and to which command. */
export class UsageError extends CliError {
  /** The command with the words that lead to it, as `talos access grant`. */
  readonly command: string;

  /** Makes the error `Cannot run COMMAND: STATE`; the last hint names the command's help. */
  constructor(command: string, state: string, hints: readonly string[]) {
    super("usage", `Cannot run ${command}: ${state}`, {
      hints: [...hints, `see what it takes: ${command} --help`],
    });
    this.command = command;
  }
}

/**
 * Returns the error for what commander does not take.
 *
 * @param command Whose arguments they are.
 * @param typed That command with the words that lead to it, as `talos access grant`.
 * @param os Whose shell takes the commands in hints.
 */
export function usageErrorOf(
  command: Command,
  typed: string,
  error: CommanderError,
  os: OperatingSystem,
): UsageError {
  if (error.code === "commander.help") {
    const [help, unknown] = command.args;
    const names = command.commands.map((below) => below.name());
    if (help === "help" && unknown !== undefined) {
      const near = nearestName(unknown, names);
      return new UsageError(
        typed,
        `unknown command ${unknown}`,
        near === undefined ? [] : [`did you mean: ${typed} help ${near}`],
      );
    }
    return new UsageError(typed, `a command is missing: ${names.join(", ")}`, []);
  }
  const [sentence = "", suggestion] = messageOf(error).replace(/^error: /, "").split("\n");
  const meant = /\(Did you mean (.*)\?\)$/.exec(suggestion ?? "")?.[1];
  const hints: string[] = [];
  if (meant !== undefined) {
    hints.push(
      meant.startsWith("-")
        ? `did you mean ${meant}?`
        : `did you mean: ${[typed, meant, ...restOf(command, os)].join(" ")}`,
    );
  } else if (typed === "talos mcp-serve" && error.code === "commander.unknownOption") {
    hints.push("the MCP server's command goes behind --: talos mcp-serve … -- COMMAND");
  }
  if (typed === "talos init" && error.code === "commander.excessArguments") {
    hints.push(`did you mean: talos init --name ${shellLine(os, command.args)}`);
  }
  return new UsageError(typed, stateOf(sentence), hints);
}

/** Returns what was typed behind the name that is none, as a shell takes it. */
function restOf(command: Command, os: OperatingSystem): string[] {
  const rest = command.args.slice(1);
  return rest.length === 0 ? [] : [shellLine(os, rest)];
}

/** The error for `talos init` without a name: said only when nothing else is wrong. */
export function nameMissing(): UsageError {
  return new UsageError("talos init", "--name is missing", [
    "choose what this machine is called: talos init --name NAME",
  ]);
}

/** What commander says, in our words. */
const STATES: readonly (readonly [RegExp, string])[] = [
  [
    /^option '(\S+).*' argument '(.*)' is invalid\. It must be (.*)\.$/s,
    '$1 is "$2", it must be $3',
  ],
  [/^option '(\S+) .*' argument missing$/, "$1 needs a value"],
  [/^required option '(\S+) .*' not specified$/, "$1 is missing"],
  [/^missing required argument '(.*)'$/, "<$1> is missing"],
  [/^too many arguments.* but got \d+: (.*)\.$/s, "too many arguments: $1"],
  [/^unknown (command|option) '(.*)'$/s, "unknown $1 $2"],
];

function stateOf(sentence: string): string {
  for (const [pattern, state] of STATES) {
    if (pattern.test(sentence)) return sentence.replace(pattern, state);
  }
  return sentence;
}
