/**
 * The command line: every command, option and argument of `talos`, and nothing else.
 *
 * A command's module is loaded only when it runs, so that `mcp-connect` starts fast. What is typed wrong
 * is one sentence with hints like every other error, as JSON where that is asked for; `mcp-connect`
 * tells its agent, too.
 */

import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { messageOf, TalosError } from "../errors.ts";
import { type Context, type GlobalOptions, SYSTEM, systemContext, type World } from "./context.ts";
import { CliError } from "./errors.ts";
import { EXIT_STATUS_MEANINGS, ExitStatus, exitStatusOf } from "./exit_status.ts";
import { VERSION } from "../version.ts";

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
    return report(context, await toldToAgent(context, error));
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

/** What was typed wrong, and to which command. */
class UsageError extends CliError {
  readonly command: string;

  constructor(command: string, state: string, hints: readonly string[]) {
    super("usage", `Cannot run ${command}: ${state}`, {
      hints: [...hints, `see what it takes: ${command} --help`],
    });
    this.command = command;
  }
}

/** Hands an error in the arguments of `mcp-connect` to its agent as well, and returns the error. */
async function toldToAgent(context: Context, error: unknown): Promise<unknown> {
  if (!(error instanceof UsageError) || error.command !== "talos mcp-connect") return error;
  const { refuseAgent } = await import("./commands/mcp_connect.ts");
  return await refuseAgent(context, error).then(() => error, (thrown: unknown) => thrown);
}

/** What the parser needs from the outside. */
export interface ProgramOptions {
  /** Is called once, with the global options of the command that runs. */
  readonly contextOf: (options: GlobalOptions) => Context;
  /** Takes pieces of help. */
  readonly print: (text: string) => void;
}

/** Returns the parser. */
export function talosProgram({ contextOf: makeContext, print }: ProgramOptions): Command {
  const program = new Command("talos")
    .description(
      "An AI agent uses an MCP server on another machine: end-to-end encrypted, no account, no " +
        "vendor. Without a command, talos shows the state of this machine and the next step.",
    )
    .version(VERSION, "-V, --version", "show the version")
    .helpCommand("help [command]", "show this, or what a command takes")
    .configureHelp({ subcommandTerm: termOf, minWidthToWrap: 20 })
    .enablePositionalOptions()
    .configureOutput({
      writeOut: print,
      writeErr: () => {},
      outputError: () => {}, // errors are thrown, and printed like all others
      getOutHelpWidth: () => HELP_COLUMNS,
      getErrHelpWidth: () => HELP_COLUMNS,
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    })
    .addHelpText(
      "after",
      () => `\n${exitStatusHelp()}\n\nWhat a command takes: talos COMMAND --help`,
    );

  const command = (name: string, description: string): Command =>
    program.command(name).description(description);
  const contextOf = (made: Command): Context => makeContext(made.optsWithGlobals());

  command("init", "make an identity: the wallet, and its Peer ID")
    .addHelpText(
      "after",
      examples("talos init --name laptop", "talos init --name laptop --passphrase"),
    )
    .requiredOption("--name <name>", "what this machine or person is called")
    .option("--force", "replace a wallet that is there (it is kept as a .bak)")
    .option("--passphrase", "seal the key under a passphrase")
    .action(async (options, made: Command) => {
      const { initCommand } = await import("./commands/init.ts");
      await initCommand(contextOf(made), options);
    });

  command("status", "who this is and what runs here")
    .action(async (_options, made: Command) => {
      const { statusCommand } = await import("./commands/status.ts");
      await statusCommand(contextOf(made));
    });

  withRegistryOptions(command("register", "make this peer known to a registry, and remember it"))
    .option("--unlisted", "hide this peer from `talos peers`")
    .action(async (options, made: Command) => {
      const { registerCommand } = await import("./commands/register.ts");
      await registerCommand(contextOf(made), options);
    });

  withRegistryOptions(command("peers", "who is registered"))
    .action(async (options, made: Command) => {
      const { peersCommand } = await import("./commands/peers.ts");
      await peersCommand(contextOf(made), options);
    });

  command("forget-registry", "forget the key of a registry that has a new one")
    .argument("<registry>", "HOST[:PORT]")
    .action(async (registry: string, _options, made: Command) => {
      const { forgetRegistryCommand } = await import("./commands/forget_registry.ts");
      await forgetRegistryCommand(contextOf(made), registry);
    });

  addContactsCommands(command("contacts", "what we call other peers"), contextOf);
  addAccessCommands(command("access", "who may use what"), contextOf);

  withRegistryOptions(command("mcp-serve", "share an MCP server with those who may use it"))
    .addHelpText(
      "after",
      examples(
        'talos mcp-serve --authorized-peer PEER-ID --command "npx -y @scope/server /home/me/projects"',
        "talos mcp-serve --authorized-peer PEER-ID --service notes -- node notes-server.js",
        "talos mcp-serve --authorized-peer PEER-ID --config servers.json",
      ),
    )
    .argument("[command...]", "the server's command, behind --")
    .addOption(repeatable("--authorized-peer <id>", "who may use it (repeats)"))
    .option("--command <text>", "the server's command as one text; no shell runs")
    .option("--config <file>", "share every server of an mcpServers file")
    .option("--service <name>", "the name under which a command is shared (default: default)")
    .option(
      "--port <n>",
      "the port to listen on; 0 for any (default: 8766 or the next free one)",
      parsePort,
    )
    .option("--host <address>", "the address to listen on (default: all)")
    .addOption(
      repeatable("--env <name[=value]>", "a variable for the server's environment (repeats)"),
    )
    .option("--cwd <dir>", "the server's working directory")
    .option("--max-message <bytes>", "the longest message (default: 67108864)", parseBytes)
    .option(
      "--strict-clock",
      "refuse callers whose clock is off by more than 60 s, without a retry",
    )
    .action(async (words: string[], options, made: Command) => {
      const { mcpServeCommand } = await import("./commands/mcp_serve.ts");
      await mcpServeCommand(contextOf(made), options, words);
    });

  withRegistryOptions(command("mcp-connect", "be a host's MCP server, on stdin and stdout"))
    .addHelpText(
      "after",
      examples(
        "talos mcp-connect PEER-ID@192.0.2.7",
        "talos mcp-connect PEER-ID/notes@host.example:8767",
      ) + "\n\nThis is the command that an agent's MCP configuration names.",
    )
    .argument("<peer>", "PEER[/SERVICE][@HOST[:PORT]]")
    .option("--max-message <bytes>", "the longest message (default: 67108864)", parseBytes)
    .option("--strict-clock", "refuse a host whose clock is off by more than 60 s, without a retry")
    .action(async (target: string, options, made: Command) => {
      const { mcpConnectCommand } = await import("./commands/mcp_connect.ts");
      await mcpConnectCommand(contextOf(made), options, target);
    });

  command("permissions", "how to run a command with the permissions it needs alone")
    .argument("<command>", "the command")
    .argument("[arguments...]", "its arguments")
    .passThroughOptions()
    .action(async (name: string, words: string[], _options, made: Command) => {
      const { permissionsCommand } = await import("./commands/permissions.ts");
      const asked = program.commands.find((known) => known.name() === name);
      await permissionsCommand(contextOf(made), { name, words, command: asked ?? null });
    });

  command("completions", "what makes a shell complete talos commands")
    .argument("<shell>", "bash, zsh, fish or powershell")
    .action(async (shell: string, _options, made: Command) => {
      const { completionsCommand } = await import("./commands/completions.ts");
      completionsCommand(contextOf(made), shell, program);
    });

  command("version", "which program this is")
    .action(async (_options, made: Command) => {
      const { versionCommand } = await import("./commands/version.ts");
      versionCommand(contextOf(made));
    });

  finish(program, "talos");
  return program;
}

const HELP_COLUMNS = 80;
const EVERYWHERE = "Options of every command:";

/** A command as it stands in a list: its name, and below another command its arguments. */
function termOf(command: Command): string {
  if (command.parent?.parent === null) return command.name();
  const words = command.registeredArguments.map((argument) => {
    const name = argument.name() + (argument.variadic ? "..." : "");
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  return [command.name(), ...words].join(" ");
}

/** Gives a command and those below it what all have: the global options and our kind of errors. */
function finish(command: Command, typed: string): void {
  const add = (flags: string, description: string) =>
    command.addOption(new Option(flags, description).helpGroup(EVERYWHERE));
  add("--home <dir>", "where the identity lies (default: $TALOS_HOME, else ~/.talos)");
  add("--json", "results, events and errors as JSON");
  add("--verbose", "say more on stderr");
  command.addHelpOption(new Option("-h, --help", "show this").helpGroup(EVERYWHERE));
  command.exitOverride((error) => {
    throw error.exitCode === 0 ? error : usageError(command, typed, error);
  });
  for (const below of command.commands) finish(below, `${typed} ${below.name()}`);
}

function usageError(command: Command, typed: string, error: CommanderError): UsageError {
  if (error.code === "commander.help") {
    const [help, unknown] = command.args;
    if (help === "help" && unknown !== undefined) {
      return new UsageError(typed, `unknown command ${unknown}`, []);
    }
    const names = command.commands.map((below) => below.name());
    return new UsageError(typed, `a command is missing: ${names.join(", ")}`, []);
  }
  const [sentence = "", suggestion] = messageOf(error).replace(/^error: /, "").split("\n");
  const meant = /\(Did you mean (.*)\?\)$/.exec(suggestion ?? "")?.[1];
  const hints: string[] = [];
  if (meant !== undefined) {
    hints.push(
      meant.startsWith("-") ? `did you mean ${meant}?` : `did you mean: ${typed} ${meant}`,
    );
  } else if (typed === "talos mcp-serve" && error.code === "commander.unknownOption") {
    hints.push("the MCP server's command goes behind --: talos mcp-serve … -- COMMAND");
  }
  return new UsageError(typed, stateOf(sentence), hints);
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

/** Command lines that show how a command is used. */
function examples(...lines: readonly string[]): string {
  return ["\nExamples:", ...lines.map((line) => `  ${line}`)].join("\n");
}

function exitStatusHelp(): string {
  const lines = EXIT_STATUS_MEANINGS.map(([status, meaning]) => `  ${status}  ${meaning}`);
  return ["Exit status:", ...lines].join("\n");
}

function withRegistryOptions(command: Command): Command {
  return command
    .option("--server <registry>", "the registry, HOST[:PORT] (default: the one registered at)")
    .addOption(new Option("--registry <registry>", "the same as --server").hideHelp())
    .option("--join-token-file <file>", "the token of a private registry");
}

function addContactsCommands(contacts: Command, contextOf: (made: Command) => Context): void {
  const sub = (name: string, description: string) => subcommand(contacts, name, description);
  sub("list", "all contacts").action(async (_options, made: Command) => {
    const { listContactsCommand } = await import("./commands/contacts.ts");
    await listContactsCommand(contextOf(made));
  });
  sub("add", "give a peer a name").argument("<name>").argument("<peer-id>")
    .action(async (name: string, peer: string, _options, made: Command) => {
      const { addContactCommand } = await import("./commands/contacts.ts");
      await addContactCommand(contextOf(made), name, peer);
    });
  sub("rename", "give a contact another name").argument("<name>").argument("<new-name>")
    .action(async (from: string, to: string, _options, made: Command) => {
      const { renameContactCommand } = await import("./commands/contacts.ts");
      await renameContactCommand(contextOf(made), from, to);
    });
  sub("remove", "remove a contact").argument("<name>")
    .action(async (name: string, _options, made: Command) => {
      const { removeContactCommand } = await import("./commands/contacts.ts");
      await removeContactCommand(contextOf(made), name);
    });
}

function addAccessCommands(access: Command, contextOf: (made: Command) => Context): void {
  const sub = (name: string, description: string) => subcommand(access, name, description);
  sub("list", "who may use what").action(async (_options, made: Command) => {
    const { listAccessCommand } = await import("./commands/access.ts");
    await listAccessCommand(contextOf(made));
  });
  sub("grant", "let a peer use a service, or all").argument("<peer[/service]>")
    .option("--expires <duration>", "for how long: 90s, 15m, 24h, 7d")
    .action(async (target: string, options, made: Command) => {
      const { grantAccessCommand } = await import("./commands/access.ts");
      await grantAccessCommand(contextOf(made), target, options);
    });
  sub("revoke", "take a permission back, at once").argument("<peer[/service]>")
    .action(async (target: string, _options, made: Command) => {
      const { revokeAccessCommand } = await import("./commands/access.ts");
      await revokeAccessCommand(contextOf(made), target);
    });
}

function subcommand(parent: Command, name: string, description: string): Command {
  return parent.command(name).description(description);
}

/** An option that collects one value each time it is given. */
function repeatable(flags: string, description: string): Option {
  return new Option(flags, description)
    .default([], "none")
    .argParser((value: string, previous: string[]) => [...previous, value]);
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Infinity;
  if (port > 65_535) throw new InvalidArgumentError("It must be 0 to 65535.");
  return port;
}

const MIN_MAX_MESSAGE_BYTES = 64 * 1024;
const MAX_MAX_MESSAGE_BYTES = 1024 * 1024 * 1024;

function parseBytes(text: string): number {
  const bytes = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (bytes < MIN_MAX_MESSAGE_BYTES || bytes > MAX_MAX_MESSAGE_BYTES) {
    throw new InvalidArgumentError(
      `It must be ${MIN_MAX_MESSAGE_BYTES} to ${MAX_MAX_MESSAGE_BYTES} bytes.`,
    );
  }
  return bytes;
}
