/**
 * One run of `talos`: what was typed is parsed and carried out, and what goes wrong is printed.
 *
 * What is typed wrong is one sentence with hints like every other error, as JSON where that is asked for;
 * `mcp-connect` tells its agent, too.
 */

import { type Command, CommanderError } from "commander";
import { TalosError } from "../errors.ts";
import { VERSION } from "../version.ts";
import { type Context, SYSTEM, systemContext, type World } from "./context.ts";
import { ExitStatus, exitStatusOf } from "./exit_status.ts";
import { talosProgram } from "./program.ts";
import { UsageError } from "./usage_error.ts";

/** Runs `talos` with the given arguments and returns its exit status. Prints what goes wrong. */
export async function runTalos(
  argv: readonly string[],
  world: World = SYSTEM,
): Promise<ExitStatus> {
  let context = systemContext({ json: argv.includes("--json") }, world);
  const texts: string[] = [];
  const program = talosProgram({
    contextOf: (options) => context = systemContext(options, world),
    print: (text) => texts.push(text),
    os: context.os,
  });
  try {
    await (asksForNothing(program, argv)
      ? showOverview(systemContext(program.opts(), world))
      : program.parseAsync(helpWithOptions(argv), { from: "user" }));
    return ExitStatus.done;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) {
      const text = texts.join("").trimEnd();
      const value = error.code === "commander.version" ? { version: VERSION } : { help: text };
      context.output.result(text, value);
      return ExitStatus.done;
    }
    // What stands before the command's name is read even where nothing runs: a hint needs it as well.
    const { home } = program.opts();
    const its = error instanceof UsageError && home !== undefined
      ? systemContext({ json: context.output.json, home }, world)
      : context;
    return report(its, await toldToAgent(its, error));
  }
}

function report({ output, log }: Context, error: unknown): ExitStatus {
  if (!(error instanceof TalosError) && error instanceof Error) {
    for (const line of error.stack?.split("\n") ?? []) log.debug(line);
  }
  output.error(error);
  return exitStatusOf(error);
}

/** Tells whether there is no command and nothing else that commander answers, such as `--help`. */
function asksForNothing(program: Command, argv: readonly string[]): boolean {
  const { operands, unknown } = program.parseOptions([...argv]);
  return operands.length === 0 && unknown.length === 0;
}

/** Puts what options `talos help COMMAND` has in front of it, where commander takes them. */
function helpWithOptions(argv: readonly string[]): string[] {
  const isOption = (word: string) => word.startsWith("-");
  if (argv.find((word) => !isOption(word)) !== "help") return [...argv];
  return [...argv.filter(isOption), ...argv.filter((word) => !isOption(word))];
}

async function showOverview(context: Context): Promise<void> {
  const { overviewCommand } = await import("./commands/status.ts");
  await overviewCommand(context);
}

/** Hands an error in the arguments of `mcp-connect` to its agent as well, and returns the error. */
async function toldToAgent(context: Context, error: unknown): Promise<unknown> {
  if (!(error instanceof UsageError) || error.command !== "talos mcp-connect") return error;
  const { refuseAgent } = await import("./commands/mcp_connect.ts");
  return await refuseAgent(context, error).then(() => error, (thrown: unknown) => thrown);
}
