/**
 * The command line: every command, option and argument of `talos`, and nothing else.
 *
 * A command's module is loaded only when it runs, so that `mcp-connect` starts fast.
 */

import { Command, Option } from "commander";
import type { OperatingSystem } from "../identity/file_path.ts";
import { DEFAULT_PEER_PORT, DEFAULT_REGISTRY_PORT } from "../identity/host_port.ts";
import { DEFAULT_MAX_MESSAGE_BYTES, DETACH_TIMEOUT_MS, MAX_CLOCK_SKEW_MS } from "../limits.ts";
import { VERSION } from "../version.ts";
import { CLIENT_IDS } from "./clients/client.ts";
import type { Context, GlobalOptions } from "./context.ts";
import { EXIT_STATUS_MEANINGS } from "./exit_status.ts";
import {
  parseDetachTimeout,
  parseLines,
  parseListen,
  parseMaxMessage,
  parsePort,
  parsePrewarm,
  parseUses,
  parseVia,
  repeatable,
} from "./option_values.ts";
import { nameMissing, usageErrorOf } from "./usage_error.ts";

/** What the parser needs from the outside. */
export interface ProgramOptions {
  /** Is called once, with the global options of the command that runs. */
  readonly contextOf: (options: GlobalOptions) => Context;
  /** Takes pieces of help. */
  readonly print: (text: string) => void;
  /** Whose shell takes the commands in hints: Linux's by default. */
  readonly os?: OperatingSystem;
}

/** Returns what a command works with, from the global options among its own. */
type ContextOf = (command: Command) => Context;

const HELP_COLUMNS = 80;
const EVERYWHERE = "Options of every command:";
const MAX_MESSAGE_HELP = `the longest message (default: ${DEFAULT_MAX_MESSAGE_BYTES})`;
const SKEW_TEXT = `${MAX_CLOCK_SKEW_MS / 1000} s`;

/** Returns the parser. */
export function talosProgram(
  { contextOf: makeContext, print, os = "linux" }: ProgramOptions,
): Command {
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

  const add = adderTo(program);
  const contextOf: ContextOf = (command) => makeContext(globalOptionsOf(command));
  addIdentityCommands(program, contextOf);
  addRegistryCommands(program, contextOf);
  addContactsCommands(add("contacts", "what we call other peers"), contextOf);
  addAccessCommands(add("access", "who may use what"), contextOf);
  addPolicyCommands(add("policy", "who may call what, by a policy file"), contextOf);
  addMcpCommands(program, contextOf);
  addCareCommands(program, contextOf);
  addOwnCommands(program, contextOf);
  finish(program, "talos", os);
  return program;
}

/** Returns what every command knows of its options. `register` is done once: what comes after remembers. */
function globalOptionsOf(command: Command): GlobalOptions {
  const { home, json, verbose, server, registry } = command.optsWithGlobals();
  const named = command.name() === "register" ? undefined : server ?? registry;
  return {
    ...(home === undefined ? {} : { home }),
    ...(json === undefined ? {} : { json }),
    ...(verbose === undefined ? {} : { verbose }),
    ...(named === undefined ? {} : { server: named }),
  };
}

/** Returns what adds a command below `parent`. */
function adderTo(parent: Command): (name: string, description: string) => Command {
  return (name, description) => parent.command(name).description(description);
}

/** The commands that make and show the identity. */
function addIdentityCommands(program: Command, contextOf: ContextOf): void {
  const add = adderTo(program);
  add("init", "make an identity: the wallet, and its Peer ID")
    .addHelpText(
      "after",
      examples("talos init --name laptop", "talos init --name laptop --passphrase"),
    )
    .option("--name <name>", "what this machine or person is called")
    .option("--force", "replace a wallet that is there (it is kept as a .bak)")
    .option("--passphrase", "seal the key under a passphrase")
    .action(async (options, made: Command) => {
      const context = contextOf(made);
      if (options.name === undefined) throw nameMissing();
      const { initCommand } = await import("./commands/init.ts");
      await initCommand(context, options);
    });

  add("status", "who this is and what runs here")
    .action(async (_options, made: Command) => {
      const { statusCommand } = await import("./commands/status.ts");
      await statusCommand(contextOf(made));
    });
}

/** The commands about a registry. */
function addRegistryCommands(program: Command, contextOf: ContextOf): void {
  const add = adderTo(program);
  withRegistryOptions(add("register", "make this peer known to a registry, and remember it"))
    .option("--unlisted", "hide this peer from `talos peers`")
    .action(async (options, made: Command) => {
      const { registerCommand } = await import("./commands/register.ts");
      await registerCommand(contextOf(made), options);
    });

  withRegistryOptions(add("peers", "who is registered"))
    .action(async (options, made: Command) => {
      const { peersCommand } = await import("./commands/peers.ts");
      await peersCommand(contextOf(made), options);
    });

  add("forget-registry", "forget the key of a registry that has a new one")
    .argument("<registry>", "HOST[:PORT]")
    .action(async (registry: string, _options, made: Command) => {
      const { forgetRegistryCommand } = await import("./commands/forget_registry.ts");
      await forgetRegistryCommand(contextOf(made), registry);
    });
}

/** `talos contacts …`. */
function addContactsCommands(contacts: Command, contextOf: ContextOf): void {
  const add = adderTo(contacts);
  add("list", "all contacts").action(async (_options, made: Command) => {
    const { listContactsCommand } = await import("./commands/contacts.ts");
    await listContactsCommand(contextOf(made));
  });
  add("add", "give a peer a name").argument("<name>").argument("<peer-id>")
    .action(async (name: string, peer: string, _options, made: Command) => {
      const { addContactCommand } = await import("./commands/contacts.ts");
      await addContactCommand(contextOf(made), name, peer);
    });
  add("rename", "give a contact another name").argument("<name>").argument("<new-name>")
    .action(async (from: string, to: string, _options, made: Command) => {
      const { renameContactCommand } = await import("./commands/contacts.ts");
      await renameContactCommand(contextOf(made), from, to);
    });
  add("remove", "remove a contact").argument("<name>")
    .action(async (name: string, _options, made: Command) => {
      const { removeContactCommand } = await import("./commands/contacts.ts");
      await removeContactCommand(contextOf(made), name);
    });
}

/** `talos access …`. */
function addAccessCommands(access: Command, contextOf: ContextOf): void {
  const add = adderTo(access);
  add("list", "who may use what").action(async (_options, made: Command) => {
    const { listAccessCommand } = await import("./commands/access.ts");
    await listAccessCommand(contextOf(made));
  });
  add("grant", "let a peer use a service, or all").argument("<peer[/service]>")
    .option("--expires <duration>", "for how long: 90s, 15m, 24h, 7d")
    .action(async (target: string, options, made: Command) => {
      const { grantAccessCommand } = await import("./commands/access.ts");
      await grantAccessCommand(contextOf(made), target, options);
    });
  add("revoke", "take a permission back, at once").argument(
    "<peer[/service]>",
    "or an invite, by its name",
  )
    .action(async (target: string, _options, made: Command) => {
      const { revokeAccessCommand } = await import("./commands/access.ts");
      await revokeAccessCommand(contextOf(made), target);
    });
}

/** `talos policy …`. */
function addPolicyCommands(policy: Command, contextOf: ContextOf): void {
  const add = adderTo(policy);
  add("check", "see whether a policy file can be used").argument("<file>")
    .action(async (file: string, _options, made: Command) => {
      const { checkPolicyCommand } = await import("./commands/policy.ts");
      await checkPolicyCommand(contextOf(made), file);
    });
  add("explain", "what a policy decides about a request, and by which rule")
    .addHelpText(
      "after",
      examples(
        'talos policy explain policy.json anna tools/call write_file \'{"path":"/tmp/x"}\'',
        "talos policy explain policy.json PEER-ID resources/read file:///etc/passwd",
        "talos policy explain policy.json PEER-ID tools/list write_file",
      ),
    )
    .argument("<file>")
    .argument("<peer>", "a Peer ID, or a contact")
    .argument("<method>", "tools/call, resources/read, ...")
    .argument("<name>", "the tool, prompt or URI")
    .argument("[args]", "the tool's arguments, as JSON")
    .option("--service <name>", "the service (default: default)")
    .action(
      async (
        file: string,
        peer: string,
        method: string,
        name: string,
        args,
        options,
        made: Command,
      ) => {
        const { explainPolicyCommand } = await import("./commands/policy.ts");
        const { service = "default" } = options;
        await explainPolicyCommand(contextOf(made), { file, peer, method, name, args, service });
      },
    );
}

/** The commands that carry MCP. */
function addMcpCommands(program: Command, contextOf: ContextOf): void {
  const add = adderTo(program);
  withRegistryOptions(add("mcp-serve", "share an MCP server with those who may use it"))
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
      `the port to listen on; 0 for any (default: ${DEFAULT_PEER_PORT} or the next free one)`,
      parsePort,
    )
    .option("--host <address>", "the address to listen on (default: all)")
    .option("--listen <host:port>", "the same as --host and --port together", parseListen)
    .option("--no-listen", "open no port: calls come through the registry's relay alone")
    .addOption(
      repeatable("--env <name[=value]>", "a variable for the server's environment (repeats)"),
    )
    .option("--cwd <dir>", "the server's working directory")
    .option("--max-message <bytes>", MAX_MESSAGE_HELP, parseMaxMessage)
    .option(
      "--strict-clock",
      `refuse callers whose clock is off by more than ${SKEW_TEXT}, without a retry`,
    )
    .option(
      "--detach-timeout <seconds>",
      `how long a server waits for a caller that lost its connection (default: ${
        DETACH_TIMEOUT_MS / 1000
      })`,
      parseDetachTimeout,
    )
    .option(
      "--prewarm <n>",
      "keep so many servers ready for each authorised peer (default: 0)",
      parsePrewarm,
    )
    .addOption(
      repeatable("--allow-tool <glob>", "tools that may be called, and no others (repeats)"),
    )
    .addOption(repeatable("--deny-tool <glob>", "tools that may not be called (repeats)"))
    .option("--read-only", "only tools that the server itself lists as read-only")
    .option("--policy <file>", "who may call what, and how much: see docs/policy.schema.json")
    .option("--with-registry", "run a registry as well, for those who are invited")
    .option(
      "--registry-port <n>",
      `its port; 0 for any (default: ${DEFAULT_REGISTRY_PORT})`,
      parsePort,
    )
    .option("--no-reaper", "let servers see all processes, and outlive a mcp-serve that is killed")
    .action(async (words: string[], options, made: Command) => {
      const { mcpServeCommand } = await import("./commands/mcp_serve.ts");
      await mcpServeCommand(contextOf(made), options, words);
    });

  withRegistryOptions(add("mcp-connect", "be a host's MCP server, on stdin and stdout"))
    .addHelpText(
      "after",
      examples(
        "talos mcp-connect PEER-ID@192.0.2.7",
        "talos mcp-connect PEER-ID/notes@host.example:8767",
      ) + "\n\nThis is the command that an agent's MCP configuration names.",
    )
    .argument("<peer>", "PEER[/SERVICE][@HOST[:PORT]]")
    .option("--max-message <bytes>", MAX_MESSAGE_HELP, parseMaxMessage)
    .option(
      "--strict-clock",
      `refuse a host whose clock is off by more than ${SKEW_TEXT}, without a retry`,
    )
    .addOption(
      new Option("--via <way>", "auto, direct, or relay: how to reach the host (default: auto)")
        .argParser(parseVia),
    )
    .addOption(repeatable(
      "--retry-idempotent <tools>",
      "tools that may run twice, as TOOL[,TOOL...]: call again if the server dies",
    ))
    .action(async (target: string, options, made: Command) => {
      const { mcpConnectCommand } = await import("./commands/mcp_connect.ts");
      await mcpConnectCommand(contextOf(made), options, target);
    });

  withRegistryOptions(add("invite", "make a ticket that lets its holder use a server of this host"))
    .addHelpText(
      "after",
      examples("talos invite", "talos invite --service notes --expires 7d --uses 3 --name team"),
    )
    .option("--service <name>", "which server (default: the one that runs here, else default)")
    .option("--expires <duration>", "for how long the ticket holds: 15m, 24h, 7d", "24h")
    .option("--uses <n>", "how many may use it", parseUses, 1)
    .option("--name <name>", "what its holder is to be called here")
    .action(async (options, made: Command) => {
      const { inviteCommand } = await import("./commands/invite.ts");
      await inviteCommand(contextOf(made), options);
    });

  withRegistryOptions(add("join", "use a ticket: be let in, and remember the host"))
    .addHelpText(
      "after",
      examples("talos join TICKET", "talos join TICKET --client claude-desktop"),
    )
    .argument("<ticket>", "the line that `talos invite` printed; - reads it from stdin")
    .option("--name <name>", "what this machine is called (default: its host name)")
    .option("--client <client>", "write the configuration of this MCP client, as mcp-install does")
    .option("--no-verify", "do not try what was written")
    .action(async (ticket: string, options, made: Command) => {
      const { joinCommand } = await import("./commands/join.ts");
      await joinCommand(contextOf(made), options, ticket);
    });

  withRegistryOptions(add("mcp-install", "make a host's MCP server one of an MCP client's"))
    .addHelpText(
      "after",
      examples(
        "talos mcp-install PEER --client claude-desktop",
        "talos mcp-install PEER/notes --client vscode --print",
        "talos mcp-install PEER --client cursor --remove",
      ) + `\n\nClients: ${CLIENT_IDS.join(", ")}`,
    )
    .argument("<peer>", "PEER[/SERVICE][@HOST[:PORT]]")
    .requiredOption("--client <client>", "which client; they are listed below")
    .option("--name <name>", "the entry's name (default: talos-PEER[-SERVICE])")
    .option("--print", "only show what would be written")
    .option("--remove", "take the entry out")
    .option("--force", "overwrite another's entry; write while the client runs")
    .option("--no-verify", "do not try what was written")
    .action(async (target: string, options, made: Command) => {
      const { mcpInstallCommand } = await import("./commands/mcp_install.ts");
      await mcpInstallCommand(contextOf(made), options, target);
    });
}

/** The commands that find out what is wrong, and keep things running. */
function addCareCommands(program: Command, contextOf: ContextOf): void {
  const add = adderTo(program);
  withRegistryOptions(add("doctor", "what is wrong, and what to do about it"))
    .addHelpText("after", examples("talos doctor", "talos doctor PEER/notes"))
    .argument("[peer]", "a host to look at as well: PEER[/SERVICE][@HOST[:PORT]]")
    .action(async (target: string | undefined, options, made: Command) => {
      const { doctorCommand } = await import("./commands/doctor.ts");
      await doctorCommand(contextOf(made), options, target);
    });

  addServiceCommands(add("service", "have the system keep mcp-serve running"), program, contextOf);

  withServiceName(add("logs", "what a service printed"))
    .option("--follow", "go on with what it prints from now on")
    .option("--lines <n>", "how many lines to begin with (default: 200)", parseLines)
    .action(async (options, made: Command) => {
      const { logsCommand } = await import("./commands/logs.ts");
      await logsCommand(contextOf(made), options);
    });
}

/** `talos service …`. */
function addServiceCommands(service: Command, program: Command, contextOf: ContextOf): void {
  const add = (name: string, description: string) =>
    withServiceName(service.command(name).description(description));
  add("install", "start mcp-serve whenever this user is there, and again when it ends")
    .addHelpText(
      "after",
      examples(
        'talos service install -- --authorized-peer PEER-ID --command "npx -y @scope/server DIR"',
        "talos service install --name notes -- --authorized-peer PEER-ID --config notes.json",
        "talos service install --writable /home/me/projects -- --config servers.json",
      ),
    )
    .argument("[options...]", "what mcp-serve is to be told, behind --")
    .addOption(
      repeatable("--writable <dir>", "Linux: let it write there and nowhere else (repeats)"),
    )
    .action(async (words: string[], options, made: Command) => {
      const { installServiceCommand } = await import("./commands/service.ts");
      const serve = program.commands.find((known) => known.name() === "mcp-serve");
      if (serve === undefined) throw new TypeError("there is a command mcp-serve");
      await installServiceCommand(contextOf(made), options, words, serve);
    });
  add("status", "how it stands").action(async (options, made: Command) => {
    const { serviceStatusCommand } = await import("./commands/service.ts");
    await serviceStatusCommand(contextOf(made), options);
  });
  add("uninstall", "stop it, and start it no more").action(async (options, made: Command) => {
    const { uninstallServiceCommand } = await import("./commands/service.ts");
    await uninstallServiceCommand(contextOf(made), options);
  });
}

/** Adds the option that tells services of one user apart. */
function withServiceName(command: Command): Command {
  return command.option("--name <name>", "which of several services (default: default)");
}

/** The commands about the program itself. */
function addOwnCommands(program: Command, contextOf: ContextOf): void {
  const add = adderTo(program);
  add("permissions", "how to run a command with the permissions it needs alone")
    .argument("<command>", "the command")
    .argument("[arguments...]", "its arguments")
    .passThroughOptions()
    .action(async (name: string, words: string[], _options, made: Command) => {
      const { permissionsCommand } = await import("./commands/permissions.ts");
      const asked = program.commands.find((known) => known.name() === name);
      await permissionsCommand(contextOf(made), { name, words, command: asked ?? null });
    });

  add("completions", "what makes a shell complete talos commands")
    .argument("<shell>", "bash, zsh, fish or powershell")
    .action(async (shell: string, _options, made: Command) => {
      const { completionsCommand } = await import("./commands/completions.ts");
      completionsCommand(contextOf(made), shell, program);
    });

  add("version", "which program this is")
    .action(async (_options, made: Command) => {
      const { versionCommand } = await import("./commands/version.ts");
      versionCommand(contextOf(made));
    });
}

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
function finish(command: Command, typed: string, os: OperatingSystem): void {
  const add = (flags: string, description: string) =>
    command.addOption(new Option(flags, description).helpGroup(EVERYWHERE));
  add("--home <dir>", "where the identity lies (default: $TALOS_HOME, else ~/.talos)");
  add("--json", "results, events and errors as JSON");
  add("--verbose", "say more on stderr");
  command.addHelpOption(new Option("-h, --help", "show this").helpGroup(EVERYWHERE));
  command.exitOverride((error) => {
    throw error.exitCode === 0 ? error : usageErrorOf(command, typed, error, os);
  });
  for (const below of command.commands) finish(below, `${typed} ${below.name()}`, os);
}

/** Command lines that show how a command is used. */
function examples(...lines: readonly string[]): string {
  return ["\nExamples:", ...lines.map((line) => `  ${line}`)].join("\n");
}

function exitStatusHelp(): string {
  const lines = EXIT_STATUS_MEANINGS.map(([status, meaning]) => `  ${status}  ${meaning}`);
  return ["Exit status:", ...lines].join("\n");
}

/** Adds the options of a command that uses a registry. */
function withRegistryOptions(command: Command): Command {
  return command
    .option(
      "--server <registry>",
      "the registry, HOST[:PORT] (default: $TALOS_SERVER, else the one registered at)",
    )
    .addOption(new Option("--registry <registry>", "the same as --server").hideHelp())
    .option(
      "--join-token-file <file>",
      "the token of a private registry (default: $TALOS_JOIN_TOKEN_FILE)",
    );
}
