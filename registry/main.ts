/**
 * The executable `talos-server`: the registry, as far as it is built.
 *
 * It makes and keeps an identity of its own, prints how to reach it with its key, answers *who-are-you*
 * and completes handshakes, which it then ends with CLOSE `not_available`: the directory, the relay and
 * the mailbox are later work. The rules of output are those of `talos`: what is asked for goes to stdout,
 * all else to stderr; an error is one sentence and its hints; nothing from a remote is printed as it came.
 */

import { utf8 } from "../lib/bytes.ts";
import { systemClock } from "../lib/clock.ts";
import { systemRandom } from "../lib/crypto/random.ts";
import { messageOf, TalosError } from "../lib/errors.ts";
import type { HomePaths } from "../lib/identity/home.ts";
import { passphraseSource } from "../lib/identity/passphrase.ts";
import { SYSTEM_TERMINAL } from "../lib/identity/terminal.ts";
import { createLog, type Log, printable } from "../lib/log.ts";
import { stopSignal } from "../lib/stop_signal.ts";
import { listenOnAllInterfaces } from "../lib/transport/all_interfaces.ts";
import { TransportError } from "../lib/transport/errors.ts";
import { listenTcp, type TcpListener } from "../lib/transport/tcp.ts";
import { VERSION } from "../lib/version.ts";
import { HELP, parseArguments, type ServeOptions } from "./arguments.ts";
import { dataPaths, openIdentity } from "./data_directory.ts";
import { reachableAs, reachableHosts } from "./reachable.ts";
import { Registry } from "./server.ts";

/** Runs `talos-server` with the given arguments and returns its exit status. Prints what goes wrong. */
export async function runTalosServer(argv: readonly string[]): Promise<number> {
  try {
    const request = parseArguments(argv);
    if (request.want === "help") print(Deno.stdout, HELP);
    else if (request.want === "version") print(Deno.stdout, VERSION);
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
    write: (line) => print(Deno.stderr, line),
    level: options.verbose ? "debug" : "info",
    json: options.json,
    now: systemClock.now,
  });
  const sources = { clock: systemClock, random: systemRandom, log };
  const passphrase = passphraseSource({ env, terminal: SYSTEM_TERMINAL, log });
  const paths = dataPaths(os, env, options.dataDir, Deno.cwd());
  const { identity, isNew } = await openIdentity(paths, { ...sources, passphrase });
  using listener = listen(options);
  await using registry = new Registry({ identity, ...sources });
  const serving = registry.serve(listener);
  if (isNew) {
    log.warn("the data directory is new: peers that know this registry will refuse its new key", {
      data_dir: paths.home,
    });
  }
  const { port } = listener.address;
  const hosts = reachableHosts(options.host, Deno.networkInterfaces());
  announce(options, log, paths, reachableAs(identity.peerId, hosts, port));
  if (options.json) {
    const ready = { event: "ready", pid: Deno.pid, peer_id: identity.peerId, port, hosts };
    print(Deno.stdout, JSON.stringify({ ...ready, data_dir: paths.home }));
  }
  await Promise.race([stopSignal(os), serving]);
  log.info("stopping");
}

function announce(
  { json }: ServeOptions,
  log: Log,
  { home }: HomePaths,
  reachable: readonly string[],
): void {
  if (json) return;
  for (const address of reachable) log.info(`registry ready: ${address}`);
  log.info(`its key lies in ${home}: back it up`);
  log.info("directory, relay and mailbox are not built yet: it says who it is, and no more");
}

function listen({ host, port }: ServeOptions): TcpListener {
  try {
    return host === undefined
      ? listenOnAllInterfaces(Deno.build.os, port)
      : listenTcp({ host, port });
  } catch (error) {
    if (!(error instanceof TransportError) || error.code !== "port_taken") throw error;
    throw error.advise(
      "another registry may run here already; what holds the port: ss -ltnp on Linux",
      "choose another port with --port; who uses it must then name it",
    );
  }
}

/** 2 for a wrong command line, 7 for state that is damaged or unsafe, 1 for everything else. */
function exitStatusOf(thrown: unknown): number {
  if (!(thrown instanceof TalosError)) return 1;
  if (thrown.code === "usage") return 2;
  return /_(?:corrupted|permissions|mismatch|version)$/.test(thrown.code) ? 7 : 1;
}

function printError(thrown: unknown, json: boolean): void {
  const [code, hints] = thrown instanceof TalosError
    ? [thrown.code, thrown.hints]
    : ["internal", []];
  const message = printable(messageOf(thrown));
  const lines = json
    ? [JSON.stringify({ error: code, message, hints, exit_status: exitStatusOf(thrown) })]
    : [`talos: ${message}`, ...hints.map((hint) => `hint: ${hint}`)];
  print(Deno.stderr, lines.join("\n"));
}

function print(to: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = utf8(text + "\n");
  for (let at = 0; at < bytes.length;) at += to.writeSync(bytes.subarray(at));
}

if (import.meta.main) Deno.exit(await runTalosServer(Deno.args));
