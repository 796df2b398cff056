/**
 * Two hundred sessions on one host whose log goes to a full disk: some ask without a pause, some read
 * slowly, some read nothing, some do not even read their socket.
 *
 * The askers must be served whatever the others do, the host's memory must stay within what the windows
 * allow, and when all have gone, no server, no file descriptor and no memory to speak of may be left. Done
 * twice, so that what the first round left behind shows.
 */

import { type Bytes, fromUtf8, utf8 } from "../../lib/bytes.ts";
import { systemClock } from "../../lib/clock.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import { messageOf } from "../../lib/errors.ts";
import { LocalIdentity } from "../../lib/identity/local_identity.ts";
import { parsePeerId, type PeerId } from "../../lib/identity/peer_id.ts";
import { createWallet } from "../../lib/identity/wallet.ts";
import { SILENT } from "../../lib/log.ts";
import { SALT_BYTES, SESSION_ID_BYTES } from "../../lib/session/bodies.ts";
import { dial } from "../../lib/session/dial.ts";
import { Session } from "../../lib/session/session.ts";
import { connectTcp } from "../../lib/transport/tcp.ts";
import type { Transport } from "../../lib/transport/transport.ts";
import { ConnectionKind } from "../../lib/wire/preface.ts";
import { pause } from "../pause.ts";
import { initHome, startReady, TALOS } from "../talos_process.ts";
import { processesWith, residentBytes } from "./processes.ts";
import { mebibytes, milliseconds, scaled, type SoakOptions, type SoakResult } from "./result.ts";

/** A peer may have so many at once. */
const SESSIONS_PER_PEER = 4;
const PEERS = 50;
/** A source may have twice as many handshakes under way. */
const OPEN_AT_ONCE = 16;
const MAX_MESSAGE = 1024 * 1024;
/** What the server answers to `big`. A word of a command has at most 128 KiB. */
const BIG_BYTES = 100_000;
/** Twice the window. */
const BIG_ANSWERS = 40;
const SLOW_PAUSE_MS = 50;
const ASKING_MS = 15_000;
/** The host gives connections that do not read up after 5 s, and their sessions as long after. */
const DETACH_SECONDS = 5;
const GONE_MS = 45_000;
/** A host with nothing to do has about 30 descriptors. */
const DESCRIPTORS_LEFT = 10;

/** What a session's user does. */
const HABITS = ["asks", "asks", "reads slowly", "reads nothing", "reads no byte"] as const;
type Habit = typeof HABITS[number];

/** Runs both rounds. */
export async function soakSessions(options: SoakOptions): Promise<SoakResult> {
  const name = "200 sessions on one host";
  if (Deno.build.os !== "linux") {
    return { name, figures: [["skipped", "Linux only"]], failures: [] };
  }
  const figures: [string, string][] = [];
  const failures: string[] = [];
  const folder = await Deno.makeTempDir({ prefix: "talos-soak-" });
  try {
    const hostId = await initHome(`${folder}/host`, "host");
    const peers = Array.from(
      { length: scaled(options, PEERS, 5) },
      (_, number) => createWallet({ name: `p${number}`, now: Date.now(), random: systemRandom }),
    );
    const marker = `talos-soak-${Deno.pid}-sessions`;
    await using host = await startReady([
      "sh",
      ...["-c", 'exec "$0" "$@" 2>/dev/full', ...TALOS],
      ...["--home", `${folder}/host`, "--json", "--verbose", "mcp-serve", "--port", "0"],
      ...["--max-message", String(MAX_MESSAGE), "--detach-timeout", String(DETACH_SECONDS)],
      ...peers.flatMap(({ peerId }) => ["--authorized-peer", peerId]),
      ...["--", ...repeatingServer(marker)],
    ]);
    const idle = { memory: await residentBytes(host.pid) ?? 0, files: await openFiles(host.pid) };
    figures.push(["memory of the idle host", mebibytes(idle.memory)]);
    for (const address of ["127.0.0.1", "::1"]) { // two sources: each may shake hands 200 times at once
      const round = new Round(parsePeerId(hostId), { host: address, port: host.port });
      try {
        await round.open(peers.map(({ secretKey }) => new LocalIdentity(secretKey)));
        const opened = await residentBytes(host.pid) ?? 0;
        const peak = await round.use(host.pid);
        figures.push(...round.figures(address, opened - idle.memory, peak));
      } catch (error) {
        failures.push(`${address}: ${messageOf(error)}`);
      }
      await round.end();
      failures.push(...round.failures);
      const { servers, files } = await settled(host.pid, marker, idle.files);
      const memory = await residentBytes(host.pid);
      if (memory === null) failures.push("the host has ended");
      if (servers > 0) failures.push(`${servers} servers were left`);
      if (files > idle.files + DESCRIPTORS_LEFT) {
        failures.push(`${files} descriptors are open, ${idle.files} were before`);
      }
      figures.push([`${address}: memory of the host when all had gone`, mebibytes(memory ?? 0)]);
      figures.push([`${address}: descriptors then`, `${files}, before ${idle.files}`]);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
  return { name, figures, failures };
}

/** A server that takes 2 MiB of memory: it answers `ping` and, with much, `big`. */
function repeatingServer(marker: string): readonly string[] {
  const big = `s/"method":"big"/"result":{"text":"${"x".repeat(BIG_BYTES)}"}/`;
  return [
    "sed",
    "--unbuffered",
    "-e",
    's/"method":"ping"/"result":{}/',
    "-e",
    big,
    "-e",
    `#${marker}`,
  ];
}

interface User {
  readonly habit: Habit;
  readonly session: Session;
  readonly tap: Tap;
}

/** Lets a socket's bytes lie from some moment on. */
class Tap {
  closed = false;

  over(transport: Transport): Transport {
    const read = (into: Bytes) => this.closed ? new Promise<never>(() => {}) : transport.read(into);
    return { ...transport, read, write: (bytes) => transport.write(bytes) };
  }
}

class Round {
  readonly failures: string[] = [];
  readonly #peer: PeerId;
  readonly #address: { readonly host: string; readonly port: number };
  readonly #users: User[] = [];
  readonly #latencies: number[] = [];
  #openMs = 0;

  constructor(peer: PeerId, address: { readonly host: string; readonly port: number }) {
    this.#peer = peer;
    this.#address = address;
  }

  async open(identities: readonly LocalIdentity[]): Promise<void> {
    const began = performance.now();
    const wanted = identities.flatMap((identity, at) =>
      Array.from(
        { length: SESSIONS_PER_PEER },
        (_, number) => ({ identity, habit: HABITS[(at + number) % HABITS.length]! }),
      )
    );
    while (wanted.length > 0) {
      await Promise.all(
        wanted.splice(0, OPEN_AT_ONCE).map(async ({ identity, habit }) => {
          await this.#ask(await this.#openOne(identity, habit));
        }),
      );
    }
    this.#openMs = performance.now() - began;
    this.#latencies.length = 0;
  }

  async #openOne(identity: LocalIdentity, habit: Habit): Promise<User> {
    const tap = new Tap();
    const connection = await dial({
      identity,
      random: systemRandom,
      clock: systemClock,
      log: SILENT,
      peer: this.#peer,
      kind: ConnectionKind.peer,
      connect: async () => tap.over(await connectTcp(this.#address)),
    });
    const session = Session.open(connection, {
      id: systemRandom(SESSION_ID_BYTES),
      service: "mcp/default",
      maxMessage: MAX_MESSAGE,
      salt: systemRandom(SALT_BYTES),
    }, systemClock);
    await session.opened;
    const user = { habit, session, tap };
    this.#users.push(user);
    return user;
  }

  /** Everybody does what they do, for a while; returns the most memory that the host had. */
  async use(pid: number): Promise<number> {
    const until = performance.now() + ASKING_MS;
    let peak = 0;
    const watching = (async () => {
      while (performance.now() < until) {
        peak = Math.max(peak, await residentBytes(pid) ?? 0);
        await pause(100);
      }
    })();
    await Promise.all(this.#users.map(async (user) => {
      try {
        await this.#indulge(user, until);
      } catch (error) {
        // A session whose connection is not read ends with it: ours cannot be resumed.
        if (user.habit !== "reads no byte") {
          this.failures.push(`${user.habit}: ${messageOf(error)}`);
        }
      }
    }));
    await watching;
    return peak;
  }

  async #indulge(user: User, until: number): Promise<void> {
    const { habit, session, tap } = user;
    if (habit === "asks") {
      while (performance.now() < until) {
        await this.#ask(user);
        await pause(100);
      }
      return;
    }
    if (habit === "reads no byte") tap.closed = true;
    for (let number = 0; number < BIG_ANSWERS; number++) {
      await session.send(utf8(`{"jsonrpc":"2.0","id":${number},"method":"big"}`));
    }
    while (habit === "reads slowly" && performance.now() < until) {
      await Promise.race([session.receive(), pause(until - performance.now())]);
      await pause(SLOW_PAUSE_MS);
    }
  }

  async #ask({ session }: User): Promise<void> {
    const began = performance.now();
    await session.send(utf8('{"jsonrpc":"2.0","id":1,"method":"ping"}'));
    const answer = await session.receive();
    this.#latencies.push(performance.now() - began);
    if (answer === null || !fromUtf8(answer).includes('"result"')) {
      this.failures.push(`an asker heard ${answer === null ? "nothing" : fromUtf8(answer)}`);
    }
  }

  figures(address: string, opened: number, peak: number): [string, string][] {
    const sorted = this.#latencies.toSorted((a, b) => a - b);
    const at = (part: number) => milliseconds(sorted[Math.floor((sorted.length - 1) * part)] ?? 0);
    const count = this.#users.length;
    return [
      [`${address}: ${count} sessions, each asked once`, milliseconds(this.#openMs)],
      [`${address}: memory of the host for each`, mebibytes(opened / count)],
      [`${address}: memory of the host, with slow and dead readers`, mebibytes(peak)],
      [
        `${address}: askers beside them`,
        `${sorted.length} answers, median ${at(0.5)}, 99 % within ${at(0.99)}, worst ${at(1)}`,
      ],
    ];
  }

  async end(): Promise<void> {
    for (const { session, habit } of this.#users) {
      if (habit === "asks") void session.close().catch(() => {});
      else session.abort(new Error("enough"));
    }
    await Promise.all(this.#users.map(({ session }) => session.ended));
  }
}

/** Waits until the host has let go of everything, for a while, and returns what it still has. */
async function settled(pid: number, marker: string, idleFiles: number) {
  const deadline = performance.now() + GONE_MS;
  for (;;) {
    const processes = await processesWith(marker) ?? [];
    // The host's own command line holds the marker, too.
    const left = {
      servers: processes.filter((process) => process !== pid).length,
      files: await openFiles(pid),
    };
    const isDone = left.servers === 0 && left.files <= idleFiles + DESCRIPTORS_LEFT;
    if (isDone || performance.now() > deadline) return left;
    await pause(100);
  }
}

async function openFiles(pid: number): Promise<number> {
  let count = 0;
  try {
    for await (const _ of Deno.readDir(`/proc/${pid}/fd`)) count++;
  } catch {
    // It has ended, and has none.
  }
  return count;
}
