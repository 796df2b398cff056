/**
 * The executable `talos-server`: the registry.
 *
 * It makes and keeps an identity of its own, prints how to reach it with its key, and runs the directory
 * until it is stopped; then it tells its clients and ends within 5 s. The rules of output are those of
 * `talos`: what is asked for goes to stdout, all else to stderr; an error is one sentence and its hints;
 * nothing from a remote is printed as it came.
 */

import { systemClock } from "../lib/clock.ts";
import { systemRandom } from "../lib/crypto/random.ts";
import { messageOf, TalosError } from "../lib/errors.ts";
import type { IdentityErrorCode } from "../lib/identity/errors.ts";
import type { HomePaths } from "../lib/identity/home.ts";
import { interfaceAddresses } from "../lib/identity/network_interfaces.ts";
import { passphraseSource } from "../lib/identity/passphrase.ts";
import { SYSTEM_TERMINAL } from "../lib/identity/terminal.ts";
import { createLog, type Log, printable, printableJson } from "../lib/log.ts";
import { printLine, printLogLine } from "../lib/print_line.ts";
import { stopSignal } from "../lib/stop_signal.ts";
import { listenOnAllInterfaces } from "../lib/transport/all_interfaces.ts";
import { TransportError } from "../lib/transport/errors.ts";
import { listenTcp, type TcpListener } from "../lib/transport/tcp.ts";
import { VERSION } from "../lib/version.ts";
import { HELP, parseArguments, type ServeOptions } from "./arguments.ts";
import {
  claimDirectory,
  databasePath,
  dataPaths,
  openIdentity,
  wasUsed,
} from "./data_directory.ts";
import type { RegistryErrorCode } from "./errors.ts";
import { readJoinToken } from "./join_token.ts";
import { STOP_TIMEOUT_MS } from "./limits.ts";
import { reachableAs, reachableHosts } from "./reachable.ts";
import { Registry } from "./server.ts";
import { SqliteStore } from "./sqlite_store.ts";
import { serveStatus } from "./status_endpoint.ts";

/** Runs `talos-server` with the given arguments and returns its exit status. Prints what goes wrong. */
export async function runTalosServer(argv: readonly string[]): Promise<number> {
  try {
    const request = parseArguments(argv);
    if (request.want === "help") printLine(Deno.stdout, HELP);
    else if (request.want === "version") printLine(Deno.stdout, VERSION);
    else await serve(request);
    return 0;
  } catch (error) {
    printError(error, argv.includes("--json"));
    return exitStatusOf(error);
  }
}

async function serve(options: ServeOptions): Promise<void> {
  const { os } = Deno.build;
  const env = (name: string) => Deno.env.get(name);
  const log = createLog({
    write: (line) => printLogLine(Deno.stderr, line),
    level: options.verbose ? "debug" : "info",
    json: options.json,
    now: systemClock.now,
  });
  const sources = { clock: systemClock, random: systemRandom, log };
  const { joinTokenFile } = options;
  const joinToken = joinTokenFile === undefined ? null : await readJoinToken(joinTokenFile, log);
  const passphrase = passphraseSource({ env, terminal: SYSTEM_TERMINAL, log });
  const paths = dataPaths(os, env, options.dataDir, Deno.cwd());
  using _claim = await claimDirectory(os, paths, log);
  const hadAnother = await wasUsed(os, paths);
  const { identity, isNew } = await openIdentity(paths, { ...sources, passphrase });
  await using store = new SqliteStore(databasePath(os, paths));
  using listener = listen(options, log);
  await using registry = new Registry({ identity, store, joinToken, ...sources });
  const serving = registry.serve(listener);
  await using status = options.httpPort === undefined
    ? null
    : serveStatus({ host: options.httpHost, port: options.httpPort }, {
      metrics: registry.metrics.all,
      unready: () => registry.unready(),
    });
  const { port } = listener.address;
  const hosts = reachableHosts(options.host, interfaceAddresses(log));
  const httpPort = status?.address.port;
  if (isNew) tellOfNewKey(log, paths, hadAnother);
  if (joinToken === null) warnOfPublic(log);
  announce(options, log, paths, reachableAs(identity.peerId, hosts, port), httpPort);
  if (options.json) {
    const ready = { event: "ready", pid: Deno.pid, peer_id: identity.peerId, port, hosts };
    const all = { ...ready, http_port: httpPort, data_dir: paths.home };
    printLine(Deno.stdout, printableJson(all));
  }
  await Promise.race([stopSignal(os), serving]);
  log.info("stopping");
  setTimeout(() => Deno.exit(0), STOP_TIMEOUT_MS); // what was acknowledged is on the disk
  listener.close();
}

function tellOfNewKey(log: Log, { home }: HomePaths, hadAnother: boolean): void {
  if (hadAnother) {
    log.warn("a new key was made; peers that knew this registry before will refuse it", {
      data_dir: home,
    });
  } else {
    log.info("this registry is new: if you meant an earlier one, name its --data-dir", {
      data_dir: home,
    });
  }
}

function warnOfPublic(log: Log): void {
  log.warn(
    "there is no join token: whoever reaches this port can register and see who else has " +
      "(make it private with --join-token-file FILE)",
  );
}

function announce(
  { json }: ServeOptions,
  log: Log,
  { home }: HomePaths,
  reachable: readonly string[],
  httpPort: number | undefined,
): void {
  if (json) return;
  for (const address of reachable) log.info(`registry ready: ${address}`);
  log.info(`its key and its database lie in ${home}: back them up`);
  if (httpPort !== undefined) log.info(`health and metrics on port ${httpPort}`);
}

function listen({ host, port }: ServeOptions, log: Log): TcpListener {
  try {
    return host === undefined
      ? listenOnAllInterfaces(Deno.build.os, port)
      : listenTcp({ host, port });
  } catch (error) {
    if (!(error instanceof TransportError)) throw error;
    if (error.code !== "port_taken") {
      const here = interfaceAddresses(log).map(({ address }) => address);
      throw error.advise(
        `name an address of this machine with --host: ${here.join(", ")}`,
        "or leave --host out, to listen on all of them",
      );
    }
    throw error.advise(
      "another registry may run here already; what holds the port: ss -ltnp on Linux",
      "choose another port with --port; who uses it must then name it",
    );
  }
}

/** What says that state is damaged, unsafe or of a newer program. */
const CORRUPTED: ReadonlySet<string> = new Set<IdentityErrorCode | RegistryErrorCode>([
  "home_permissions",
  "store_corrupted",
  "store_version",
  "wallet_corrupted",
  "wallet_mismatch",
  "wallet_permissions",
  "wallet_version",
]);

/** What says that the command line is wrong, or names what is of no use. */
const USAGE: ReadonlySet<string> = new Set<IdentityErrorCode | RegistryErrorCode>([
  "home_invalid",
  "home_unknown",
  "token_invalid",
  "usage",
]);

/** 2 for what is {@link USAGE}, 7 for what is {@link CORRUPTED}, 1 for everything else. */
function exitStatusOf(thrown: unknown): number {
  if (!(thrown instanceof TalosError)) return 1;
  if (USAGE.has(thrown.code)) return 2;
  return CORRUPTED.has(thrown.code) ? 7 : 1;
}

function printError(thrown: unknown, json: boolean): void {
  const [code, hints] = thrown instanceof TalosError
    ? [thrown.code, thrown.hints]
    : ["internal", []];
  const message = messageOf(thrown);
  const lines = json
    ? [printableJson({ error: code, message, hints, exit_status: exitStatusOf(thrown) })]
    : [`talos: ${printable(message)}`, ...hints.map((hint) => `hint: ${printable(hint)}`)];
  printLogLine(Deno.stderr, lines.join("\n"));
}

if (import.meta.main) Deno.exit(await runTalosServer(Deno.args));
