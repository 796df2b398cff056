/** `talos mcp-serve`: shares an MCP server with those who may use it, until it is stopped. */

import { hex } from "../../bytes.ts";
import type { Grant } from "../../identity/access.ts";
import { ensureHome } from "../../identity/home.ts";
import {
  mcpService,
  parseServerName,
  serviceLabel,
  type ServiceName,
} from "../../identity/names.ts";
import { type PeerId, shortPeerId } from "../../identity/peer_id.ts";
import { claimService } from "../../identity/run_files.ts";
import { watchAccess } from "../../identity/watch_access.ts";
import { mayOpen } from "../../identity/access.ts";
import { DEFAULT_MAX_MESSAGE_BYTES } from "../../limits.ts";
import { childEnvironment } from "../../mcp/child_environment.ts";
import { splitPosix, splitWindows } from "../../mcp/command_line.ts";
import { type Caller, Launcher, type LaunchPlan } from "../../mcp/launcher.ts";
import { McpHost } from "../../mcp/mcp_host.ts";
import { resolveProgram } from "../../mcp/program.ts";
import { McpService } from "../../mcp/serve.ts";
import { SESSION_ID_BYTES } from "../../session/bodies.ts";
import { stopSignal } from "../../stop_signal.ts";
import type { TcpListener } from "../../transport/tcp.ts";
import { type Context, interactivePassphrase, openIdentity } from "../context.ts";
import { CliError } from "../errors.ts";
import { isExecutable } from "../executable.ts";
import { listenFrom } from "../listen.ts";
import { fullPeerId } from "../peer_argument.ts";

/** The options of `talos mcp-serve`. */
export interface McpServeOptions {
  /** Who may use it, besides those in `access.json`. */
  readonly authorizedPeer: readonly string[];
  /** The server's command line, as one text. */
  readonly command?: string;
  /** The service's name. */
  readonly service: string;
  /** The port; 0 for any free one. */
  readonly port?: number;
  /** The address to listen on. */
  readonly host?: string;
  /** What the server's environment has besides, `NAME` or `NAME=VALUE`. */
  readonly env: readonly string[];
  /** The server's working directory. */
  readonly cwd?: string;
  /** The longest message, in bytes. */
  readonly maxMessage?: number;
  /** Refuse callers whose clock is off, without a retry. */
  readonly strictClock?: boolean;
}

/** Shares the server until SIGINT or SIGTERM. Throws TalosError when it cannot begin. */
export async function mcpServeCommand(
  context: Context,
  options: McpServeOptions,
  words: readonly string[],
): Promise<void> {
  const { paths, log, output, clock, random } = context;
  const peers = options.authorizedPeer.map(fullPeerId);
  const service = mcpService(parseServerName(options.service));
  const plan = launchPlan(context, options, commandWords(context, options, words));
  const { wallet, identity } = await openIdentity(context, interactivePassphrase(context));
  await ensureHome(paths, log);

  const instance = random(SESSION_ID_BYTES);
  using claim = claimService(paths, [service], { pid: Deno.pid, instance: hex(instance) });
  using listener = listenFrom(options.host, options.port);
  await using access = await watchAccess(paths, {
    log,
    onChange: (changed) => host.accessChanged(changed),
  });
  const flagGrants = peers.map((peer) => flagGrant(peer, service, clock.now()));
  await using host: McpHost = new McpHost({
    identity,
    instance,
    random,
    clock,
    log,
    strictClock: options.strictClock === true,
    services: [
      new McpService({
        service,
        plan,
        limits: {},
        launcher: new Launcher(context.os),
        interceptors: () => [],
        maxMessage: options.maxMessage ?? DEFAULT_MAX_MESSAGE_BYTES,
        clock,
        log,
      }),
    ],
    flagGrants,
    access: access.current,
    nameOf: () => undefined,
  });
  const serving = host.serve(listener);
  const { port } = listener.address;
  claim.publish({ port });
  for (const { peer } of flagGrants) {
    const decision = mayOpen(access.current, flagGrants, peer, service, clock.now());
    if (!decision.allowed) {
      log.warn("--authorized-peer has no effect: this peer is revoked in access.json", { peer });
    }
  }
  announce(context, { name: wallet.name, peerId: wallet.peerId, service, listener, peers });
  output.event({
    event: "ready",
    pid: Deno.pid,
    peer_id: wallet.peerId,
    port,
    services: [serviceLabel(service)],
  });
  await Promise.race([stopSignal(context.os), serving]);
  log.info("stopping");
  listener.close();
}

interface Announcement {
  readonly name: string;
  readonly peerId: PeerId;
  readonly service: ServiceName;
  readonly listener: TcpListener;
  readonly peers: readonly PeerId[];
}

function announce({ output }: Context, facts: Announcement): void {
  if (output.json) return;
  const { name, peerId, service, listener, peers } = facts;
  const { port } = listener.address;
  const label = serviceLabel(service);
  const target = label === "default" ? peerId : `${peerId}/${label}`;
  output.say(`sharing "${label}" as ${name} (${peerId}) on port ${port}`);
  output.say(
    peers.length === 0
      ? "nobody is authorised by --authorized-peer; access.json decides alone"
      : `authorised: ${peers.map(shortPeerId).join(", ")}`,
  );
  output.say("sandbox: none (the server can do whatever this user can)");
  output.say(`on the agent's machine: talos mcp-connect ${target}@<this-machine>:${port}`);
}

function flagGrant(peer: PeerId, service: ServiceName, now: number): Grant {
  return { peer, service, origin: "flag", grantedAt: now, expires: null };
}

function commandWords(
  { os }: Context,
  { command }: McpServeOptions,
  words: readonly string[],
): readonly string[] {
  if (command !== undefined && words.length > 0) {
    throw new CliError("usage", "Cannot use both --command and a command behind --");
  }
  if (words.length > 0) return words;
  if (command === undefined) {
    throw new CliError("usage", "Cannot share anything: there is no command", {
      hints: [
        'name the MCP server: talos mcp-serve --authorized-peer <ID> --command "npx -y @modelcontextprotocol/server-filesystem /home/me/projects"',
      ],
    });
  }
  return os === "windows" ? splitWindows(command) : splitPosix(command);
}

/** Resolves the program once, so that a wrong command fails now and not at the first call. */
function launchPlan(
  { os }: Context,
  options: McpServeOptions,
  words: readonly string[],
): (caller: Caller) => LaunchPlan {
  const parent = Deno.env.toObject();
  const cwd = options.cwd ?? Deno.cwd();
  const command = resolveProgram(os, parent, { exists: isExecutable }, words, cwd);
  const environment = (peerId: string, peerName?: string) =>
    childEnvironment(os, parent, options.env, {
      peerId,
      ...(peerName === undefined ? {} : { peerName }),
    });
  environment(""); // a wrong --env fails now, too
  return ({ peer, name }) => ({
    ...command,
    env: environment(peer, name),
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
  });
}
