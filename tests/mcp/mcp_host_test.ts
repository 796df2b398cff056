import assert from "node:assert/strict";

import { fromUtf8, utf8 } from "../../lib/bytes.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import { type Access, type Grant, NO_ACCESS, type Revocation } from "../../lib/identity/access.ts";
import type { LocalIdentity } from "../../lib/identity/local_identity.ts";
import {
  DEFAULT_SERVER,
  mcpService,
  parseServerName,
  serviceLabel,
  type ServiceName,
} from "../../lib/identity/names.ts";
import { createLog } from "../../lib/log.ts";
import { Launcher } from "../../lib/mcp/launcher.ts";
import { McpHost, type McpHostOptions, ONLY_SERVICE, servicesIn } from "../../lib/mcp/mcp_host.ts";
import { McpService } from "../../lib/mcp/serve.ts";
import { callControl } from "../../lib/session/control.ts";
import type { SessionError } from "../../lib/session/errors.ts";
import { initiate } from "../../lib/session/handshake.ts";
import { askToJoin, serveJoin } from "../../lib/session/join.ts";
import type { Connection } from "../../lib/session/connection.ts";
import { Session } from "../../lib/session/session.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import type { Transport } from "../../lib/transport/transport.ts";
import { soon } from "../process/mcp_tunnel.ts";
import { Fields } from "../../lib/wire/fields.ts";
import { FakeClock, turn } from "../session/fake_clock.ts";
import { ALICE, HOST, initiating, isSettled, MALLORY, openBody } from "../session/peers.ts";
import { puppetPlan } from "./puppet.ts";

const FILES = mcpService(parseServerName("files"));
const MAIL = mcpService(parseServerName("mail"));
const NOW = 1_750_000_000_000;

function grant(
  peer: LocalIdentity,
  service: ServiceName | "*" = FILES,
  expires: number | null = null,
): Grant {
  return { peer: peer.peerId, service, origin: "command", grantedAt: NOW, expires };
}

function revocation(peer: LocalIdentity, service: ServiceName | "*" = "*"): Revocation {
  return { peer: peer.peerId, service, revokedAt: NOW };
}

/** A host without a network: every call gives it one end of a pair of transports. */
class TestHost implements AsyncDisposable {
  readonly clock = new FakeClock(NOW);
  readonly log: string[] = [];
  readonly host: McpHost;
  readonly #sessions: Session[] = [];
  readonly #flags: readonly string[];

  /** `flags` are those of its puppets. */
  constructor(
    access: Partial<Access>,
    options: Partial<McpHostOptions> = {},
    names: readonly ServiceName[] = [FILES, MAIL],
    flags: readonly string[] = [],
  ) {
    this.#flags = flags;
    const log = createLog({
      write: (line) => this.log.push(line),
      level: "info",
      json: false,
      now: () => 0,
    });
    const services = names.map((service) =>
      new McpService({
        service,
        plan: ({ name }) => puppetPlan("--caller", name ?? "nobody", ...flags),
        limits: {},
        launcher: new Launcher(Deno.build.os),
        interceptors: () => [],
        maxMessage: 65_536,
        clock: this.clock,
        log,
      })
    );
    this.host = new McpHost({
      identity: HOST,
      instance: new Uint8Array(16).fill(0xab),
      random: systemRandom,
      clock: this.clock,
      log,
      strictClock: false,
      services,
      flagGrants: [],
      access: { ...NO_ACCESS, ...access },
      nameOf: (peer) => peer === ALICE.peerId ? "alice" : undefined,
      control: {},
      ...options,
    });
  }

  /** Connects, and asks for nothing yet. */
  async connect(from = ALICE): Promise<Connection> {
    const [near, far] = memoryPair();
    void this.host.serve(once(far));
    return await initiate(near, initiating({ clock: this.clock, random: systemRandom }, from));
  }

  /** Asks for a session, which may be refused. */
  async open(service: string, from = ALICE): Promise<Session> {
    return this.ask(await this.connect(from), service);
  }

  /** Asks for a session over `connection`. */
  ask(connection: Connection, service: string): Session {
    const id = systemRandom(16);
    const session = Session.open(connection, openBody({ id, service }), this.clock);
    this.#sessions.push(session);
    return session;
  }

  /** Asks for a session and returns how that is refused. */
  async refusal(service: string, from = ALICE): Promise<string> {
    const session = await this.open(service, from);
    const error = await session.opened.then(() => null, (error: unknown) => error);
    assert.ok(error instanceof Error, "it was granted");
    const [, reason = error.message] = / refused: (.*)$/.exec(error.message) ?? [];
    return `${Reflect.get(error, "code")}: ${reason}`;
  }

  /** How it stands with each session, in the order in which they were opened. */
  get states(): string[] {
    return [...this.host.sessions].map(({ session }) => session.state);
  }

  /** How many children there were at most, beside each other. */
  get mostChildren(): number {
    let [now, most] = [0, 0];
    for (const line of this.log) {
      if (line.startsWith("talos: session opened")) most = Math.max(most, ++now);
      if (line.startsWith("talos: session closed")) now--;
    }
    return most;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    let isOver = false;
    const over = Promise.all(this.#sessions.map((session) => session.close()))
      .then(() => this.host[Symbol.asyncDispose]())
      .finally(() => isOver = true);
    while (this.#flags.length > 0 && !isOver) await this.clock.advance(100);
    await over;
  }
}

/** Makes a puppet end at SIGTERM alone: that is 2 s of the host's time behind the end of its input. */
const STUBBORN = ["--ignore-eof"];

async function* once(transport: Transport): AsyncGenerator<Transport> {
  await Promise.resolve();
  yield transport;
}

async function facts(session: Session) {
  await session.send(utf8('{"jsonrpc":"2.0","id":1,"method":"puppet/facts"}'));
  const message = await soon(session.receive(), "a message");
  assert.ok(message !== null, "the session was closed");
  return JSON.parse(fromUtf8(message)).result;
}

/** Waits until the host has closed a session, and returns the code. */
async function closeCode(session: Session): Promise<string | undefined> {
  while (await soon(session.receive(), "the end of the session") !== null);
  const { code } = session.closeReason ?? {};
  await session.close();
  return code;
}

const NOT_FILES = "unauthorized: this peer is not authorised for files";

Deno.test("McpHost refuses everybody when nobody was granted anything", async () => {
  await using there = new TestHost({});
  assert.equal(await there.refusal(FILES), NOT_FILES);
  assert.equal(
    await there.refusal("mcp/none"),
    "unauthorized: this peer is not authorised for none",
  );
  assert.equal(
    await there.refusal(ONLY_SERVICE),
    "unauthorized: this peer is not authorised for any service here",
  );
  assert.equal(await there.refusal(FILES, HOST), NOT_FILES);
  assert.equal(there.log.filter((line) => line.startsWith("talos: warning: refused")).length, 4);
});

Deno.test("McpHost grants what access.json and the flags name, to whom they name, and nothing else", async () => {
  await using there = new TestHost({ grants: [grant(ALICE)] }, {
    flagGrants: [grant(MALLORY, MAIL)],
  });
  assert.equal((await (await there.open(FILES)).opened).service, FILES);
  assert.equal((await (await there.open(MAIL, MALLORY)).opened).service, MAIL);
  // The same as for a service that does not exist: nobody learns what else there is.
  assert.equal(
    await there.refusal(MAIL),
    "unknown_service: there is no service mail for this peer; it may use: files",
  );
  assert.equal(
    await there.refusal(FILES, MALLORY),
    "unknown_service: there is no service files for this peer; it may use: mail",
  );
});

Deno.test("McpHost opens the only service permitted when the peer leaves the choice to it", async () => {
  await using there = new TestHost({ grants: [grant(ALICE, MAIL), grant(MALLORY, "*")] });
  assert.equal((await (await there.open(ONLY_SERVICE)).opened).service, MAIL);
  assert.equal(
    await there.refusal(ONLY_SERVICE, MALLORY),
    "unknown_service: there are several services, name one: files, mail",
  );
});

Deno.test("McpHost opens default when the peer leaves the choice to it and may use several", async () => {
  await using there = new TestHost(
    { grants: [grant(ALICE, "*"), grant(MALLORY, MAIL)] },
    {},
    [FILES, mcpService(DEFAULT_SERVER), MAIL],
  );
  assert.equal((await (await there.open(ONLY_SERVICE)).opened).service, "mcp/default");
  // Who may not use default gets what it may use.
  assert.equal((await (await there.open(ONLY_SERVICE, MALLORY)).opened).service, MAIL);
});

Deno.test("servicesIn() reads the services that a refusal of a host names, and nothing else", async () => {
  await using there = new TestHost({ grants: [grant(ALICE, MAIL), grant(MALLORY, "*")] });
  assert.deepEqual(servicesIn(await there.refusal(ONLY_SERVICE, MALLORY)), ["files", "mail"]);
  assert.deepEqual(servicesIn(await there.refusal(FILES)), ["mail"]);
  assert.deepEqual(servicesIn("this peer is not authorised for files"), []);
  assert.deepEqual(servicesIn("name one: $(reboot)"), []);
});

Deno.test("McpHost asks whether access.json is another one before it decides", async () => {
  const revoked: Access = { grants: [], revocations: [revocation(ALICE)] };
  let refresh = (): void => {};
  await using there = new TestHost({ grants: [grant(ALICE)] }, { refreshAccess: () => refresh() });
  const before = await there.open(FILES);
  await before.opened;
  refresh = () => there.host.accessChanged(revoked); // as a watch does that has lost its directory
  assert.equal(await there.refusal(FILES), NOT_FILES);
  assert.equal(await closeCode(before), "unauthorized");
});

Deno.test("McpHost logs what lets a refused peer in, for what it serves alone", async () => {
  await using there = new TestHost({}, {
    cureFor: (peer, service) => `talos access grant ${peer}/${serviceLabel(service)}`,
  });
  for (const service of [MAIL, ONLY_SERVICE, "mcp/none"]) await there.refusal(service);
  assert.deepEqual(there.log, [
    `talos: warning: refused peer=${ALICE.peerId} service=mcp/mail code=unauthorized ` +
    `path="memory memory" cure="talos access grant ${ALICE.peerId}/mail"`,
    `talos: warning: refused peer=${ALICE.peerId} service=mcp code=unauthorized ` +
    `path="memory memory" cure="talos access grant ${ALICE.peerId}/files"`,
    `talos: warning: refused peer=${ALICE.peerId} service=mcp/none code=unauthorized ` +
    `path="memory memory"`,
  ]);
});

Deno.test("McpHost names the services that a peer may use when it asks for one that is not there", async () => {
  await using there = new TestHost({ grants: [grant(ALICE, MAIL)] });
  assert.equal(
    await there.refusal("mcp/none"),
    "unknown_service: there is no service none for this peer; it may use: mail",
  );
  assert.equal(
    await there.refusal("\u001b[2J"),
    "unknown_service: there is no service that service for this peer; it may use: mail",
  );
});

Deno.test("McpHost refuses a revoked peer whatever flags and grants say", async () => {
  await using there = new TestHost({ grants: [grant(ALICE)], revocations: [revocation(ALICE)] }, {
    flagGrants: [grant(ALICE, "*")],
  });
  assert.equal(await there.refusal(FILES), NOT_FILES);
});

Deno.test("McpHost tells the fifth session of a peer that four run, and takes it when one ended", async () => {
  await using there = new TestHost({ grants: [grant(ALICE, "*"), grant(MALLORY)] });
  const sessions = await Promise.all([1, 2, 3, 4].map(() => there.open(FILES)));
  const pids = await Promise.all(sessions.map(async (session) => (await facts(session)).pid));
  assert.equal(new Set(pids).size, 4);
  assert.equal(
    await there.refusal(FILES),
    "busy: this peer runs as many of its children as it may",
  );
  assert.equal((await (await there.open(MAIL)).opened).service, MAIL, "another service has room");
  assert.equal(
    (await (await there.open(FILES, MALLORY)).opened).service,
    FILES,
    "so has another peer",
  );
  await sessions[0]?.close();
  await untilClosed(there, 1);
  await (await there.open(FILES)).opened;
});

Deno.test("McpHost ends the session that was detached for longest when its peer needs the room", async () => {
  await using there = new TestHost({ grants: [grant(ALICE)] });
  const sessions = await Promise.all([1, 2, 3, 4].map(() => there.open(FILES)));
  const pids = await Promise.all(sessions.map(async (session) => (await facts(session)).pid));
  for (const at of [2, 1]) {
    sessions[at]!.abort(new Error("its connection is lost"));
    await there.clock.advance(1_000);
  }
  assert.deepEqual(there.states, ["live", "detached", "detached", "live"]);
  const fifth = await there.open(FILES);
  const { pid } = await facts(fifth); // its child begins when the other has ended
  assert.ok(!pids.includes(pid));
  assert.deepEqual(there.states, ["live", "detached", "live", "live"]);
  const sixth = await there.open(FILES);
  await facts(sixth);
  assert.deepEqual(there.states, ["live", "live", "live", "live"]);
  assert.equal(
    await there.refusal(FILES),
    "busy: this peer runs as many of its children as it may",
  );
  const lines = there.log.filter((line) => line.includes("its peer needs the room"));
  assert.equal(lines.length, 2);
});

Deno.test("McpHost grants four sessions and no more when many are asked for at once", async () => {
  await using there = new TestHost({ grants: [grant(ALICE)] });
  const connections = await Promise.all(Array.from({ length: 24 }, () => there.connect()));
  const sessions = connections.map((connection) => there.ask(connection, FILES));
  const outcomes = await Promise.all(
    sessions.map(({ opened }) => opened.then(() => "opened", ({ code }: SessionError) => code)),
  );
  assert.equal(outcomes.filter((outcome) => outcome === "opened").length, 4);
  assert.equal(outcomes.filter((outcome) => outcome === "busy").length, 20);
  await Promise.all(
    sessions.filter((_, at) => outcomes[at] === "opened").map((session) => facts(session)),
  );
  assert.equal(there.mostChildren, 4);
});

/** Opens a session whose child ends and whose peer leaves without closing it: it waits for that peer. */
async function openLingering(there: TestHost): Promise<void> {
  const session = await there.open(FILES);
  await session.send(utf8('{"jsonrpc":"2.0","id":1,"method":"puppet/exit"}'));
  assert.equal(await soon(session.receive(), "the end of the session"), null);
  session.abort(new Error("its connection is lost"));
  await turn();
}

Deno.test("McpHost counts the sessions whose child has ended and whose peer has not closed", async () => {
  await using there = new TestHost({ grants: [grant(ALICE)] });
  for (const count of [1, 2, 3, 4, 4, 4]) {
    await openLingering(there);
    assert.deepEqual(there.states, Array(count).fill("detached"));
  }
  assert.equal(there.clock.timers, 4, "one for the end of each");
});

Deno.test("McpHost starts no fifth child in the place of a session whose child has ended", async () => {
  await using there = new TestHost({ grants: [grant(ALICE)] });
  await openLingering(there);
  const sessions = await Promise.all([1, 2, 3].map(() => there.open(FILES)));
  await Promise.all(sessions.map(facts));
  await facts(await there.open(FILES));
  assert.deepEqual(there.states, ["live", "live", "live", "live"]);
  assert.match(await there.refusal(FILES), /^busy: /);
  assert.equal(there.mostChildren, 4);
});

Deno.test("McpHost starts a child when those of the sessions that ended are gone, where there would be five", async () => {
  await using there = new TestHost({ grants: [grant(ALICE)] }, {}, [FILES], STUBBORN);
  const sessions = await Promise.all([1, 2, 3, 4].map(() => there.open(FILES)));
  await Promise.all(sessions.map(facts));
  for (const { session } of [...there.host.sessions].slice(0, 2)) session.abort(new Error("over"));
  const [fifth, sixth] = [await there.open(FILES), await there.open(FILES)];
  await Promise.all([fifth.opened, sixth.opened]);
  assert.deepEqual(there.states, ["ended", "ended", "live", "live", "live", "live"]);
  fifth.abort(new Error("its connection is lost"));
  await turn();
  const seventh = await there.open(FILES);
  await seventh.opened;
  await turn();
  assert.deepEqual(
    there.states,
    ["ended", "ended", "live", "live", "live", "live"],
    "no fifth waits",
  );
  await there.clock.advance(1_999);
  assert.equal(await isSettled(facts(sixth)), false);
  await there.clock.advance(1);
  await untilClosed(there, 2);
  await facts(seventh);
  assert.equal(there.mostChildren, 4);
});

/** Opens a fifth session, in the place of a detached one whose child is not gone yet. */
async function openWaiting(there: TestHost): Promise<Session> {
  const sessions = await Promise.all([1, 2, 3, 4].map(() => there.open(FILES)));
  await Promise.all(sessions.map(facts));
  sessions[0]!.abort(new Error("its connection is lost"));
  await turn();
  const fifth = await there.open(FILES);
  await fifth.opened;
  await fifth.send(utf8('{"jsonrpc":"2.0","id":1,"method":"puppet/facts"}'));
  return fifth;
}

Deno.test("McpHost starts no child for a session that waits for one when its permission is withdrawn", async () => {
  await using there = new TestHost({ grants: [grant(ALICE)] }, {}, [FILES], STUBBORN);
  const waiting = await openWaiting(there);
  await there.clock.advance(1_990);
  there.host.accessChanged({ grants: [], revocations: [revocation(ALICE)] });
  await there.clock.advance(10);
  await untilClosed(there, 1);
  assert.equal(await closeCode(waiting), "unauthorized");
  assert.equal(there.log.filter((line) => line.startsWith("talos: session opened")).length, 4);
});

Deno.test("McpHost starts no child for a session that waits for one when its grant has expired unnoticed", async () => {
  const grants = [grant(ALICE, FILES, NOW + 3_600_000)];
  await using there = new TestHost({ grants }, {}, [FILES], STUBBORN);
  const waiting = await openWaiting(there);
  there.clock.jump(3_600_000);
  await there.clock.advance(2_000);
  await untilClosed(there, 1);
  assert.equal(await closeCode(waiting), "unauthorized");
  assert.equal(there.log.filter((line) => line.startsWith("talos: session opened")).length, 4);
});

Deno.test("McpHost ends a detached session at once when its permission is withdrawn", async () => {
  await using there = new TestHost({ grants: [grant(ALICE)] });
  const session = await there.open(FILES);
  await facts(session);
  session.abort(new Error("its connection is lost"));
  await turn();
  assert.deepEqual(there.states, ["detached"]);
  there.host.accessChanged({ grants: [], revocations: [revocation(ALICE)] });
  await untilClosed(there, 1);
  await turn();
  assert.deepEqual(there.states, []);
});

Deno.test("McpHost ends a detached session, and its child, after 10 minutes, or as long as it is told", async () => {
  for (const [options, ms] of [[{}, 600_000], [{ detachTimeoutMs: 5_000 }, 5_000]] as const) {
    await using there = new TestHost({ grants: [grant(ALICE)] }, options);
    const session = await there.open(FILES);
    await facts(session);
    assert.equal((await session.opened).detachTimeoutMs, ms);
    session.abort(new Error("its connection is lost"));
    await there.clock.advance(ms - 1);
    assert.deepEqual(there.states, ["detached"]);
    await there.clock.advance(1);
    await untilClosed(there, 1);
  }
});

/** Waits until the host has logged the end of `count` sessions. */
async function untilClosed(there: TestHost, count: number): Promise<void> {
  while (there.log.filter((line) => line.startsWith("talos: session closed")).length < count) {
    await turn();
  }
}

Deno.test("McpHost tells a child whom it serves", async () => {
  await using there = new TestHost({ grants: [grant(ALICE), grant(MALLORY)] });
  assert.deepEqual((await facts(await there.open(FILES))).args, ["--caller", "alice"]);
  assert.deepEqual((await facts(await there.open(FILES, MALLORY))).args, ["--caller", "nobody"]);
});

Deno.test("McpHost.accessChanged() ends the sessions that lost their permission, and no others", async () => {
  await using there = new TestHost({ grants: [grant(ALICE, "*"), grant(MALLORY)] });
  const files = await there.open(FILES);
  const mail = await there.open(MAIL);
  const others = await there.open(FILES, MALLORY);
  await Promise.all([facts(files), facts(mail), facts(others)]);
  there.host.accessChanged({
    grants: [grant(ALICE, "*"), grant(MALLORY)],
    revocations: [revocation(ALICE, FILES)],
  });
  there.host.accessChanged({
    grants: [grant(ALICE, MAIL), grant(MALLORY)],
    revocations: [revocation(ALICE, FILES)],
  });
  assert.equal(await closeCode(files), "unauthorized");
  assert.equal(files.closeReason?.reason, "the permission was withdrawn or has expired");
  await Promise.all([facts(mail), facts(others)]);
  assert.equal(
    await there.refusal(FILES),
    "unknown_service: there is no service files for this peer; it may use: mail",
  );
  const cut = there.log.filter((line) => line.includes("session cut"));
  assert.equal(cut.length, 1, "said once");
});

Deno.test("McpHost delivers nothing of a peer any more from the moment of its revocation", async () => {
  await using there = new TestHost({ grants: [grant(ALICE)] });
  const session = await there.open(FILES);
  await facts(session);
  there.host.accessChanged({ grants: [], revocations: [revocation(ALICE)] });
  await session.send(utf8('{"jsonrpc":"2.0","id":2,"method":"puppet/facts"}'));
  assert.equal(await session.receive(), null);
  await session.close();
});

Deno.test("McpHost ends a session when its grant expires, and not before", async () => {
  await using there = new TestHost({ grants: [grant(ALICE, FILES, NOW + 60_000)] });
  const session = await there.open(FILES);
  await facts(session);
  await there.clock.advance(59_999);
  await facts(session);
  await there.clock.advance(1);
  assert.equal(await closeCode(session), "unauthorized");
  assert.equal(await there.refusal(FILES), NOT_FILES);
});

Deno.test("McpHost keeps a session whose grant was prolonged or is backed by another", async () => {
  const short = grant(ALICE, FILES, NOW + 10_000);
  await using there = new TestHost({ grants: [short] });
  const session = await there.open(FILES);
  await facts(session);
  there.host.accessChanged({ grants: [grant(ALICE, FILES, NOW + 20_000)], revocations: [] });
  await there.clock.advance(10_001);
  await facts(session);
  there.host.accessChanged({ grants: [short, grant(ALICE, "*")], revocations: [] });
  await there.clock.advance(60_000);
  await facts(session);
});

Deno.test("McpHost notices within a minute that a grant expired while the machine slept", async () => {
  const year = 365 * 24 * 3600 * 1000;
  await using there = new TestHost({ grants: [grant(ALICE, FILES, NOW + year)] });
  const session = await there.open(FILES);
  await facts(session);
  there.clock.jump(year);
  await there.clock.advance(60_000);
  assert.equal(await closeCode(session), "unauthorized");
});

Deno.test("McpHost opens the control service to its own identity alone, and answers what runs", async () => {
  await using there = new TestHost({ grants: [grant(ALICE, "*")] });
  assert.match(await there.refusal("talos/control"), /^unauthorized/);
  const session = await there.open(FILES);
  await facts(session);
  const control = await there.open("talos/control", HOST);
  const status = await callControl(control, "status");
  const [listed] = new Fields(status, "STATUS").maps("sessions", { maxItems: 1 });
  const roundTripMs = listed?.uint("round_trip_ms");
  const map = (entries: object) => new Map(Object.entries(entries));
  assert.deepEqual(
    status,
    map({
      pid: Deno.pid,
      instance: "ab".repeat(16),
      services: [FILES, MAIL],
      prewarmed: [],
      sessions: [map({
        peer: ALICE.peerId,
        service: FILES,
        since: NOW,
        path: "memory memory",
        round_trip_ms: roundTripMs,
        state: "live",
        resumptions: 0,
        messages_from_peer: 1,
        messages_to_peer: 1,
        bytes_from_peer: 48,
        bytes_to_peer: session.counts.bytesReceived,
      })],
    }),
  );
});

Deno.test("McpHost ends every session in order when it is disposed of", async () => {
  const there = new TestHost({ grants: [grant(ALICE, "*")] });
  const [one, two] = [await there.open(FILES), await there.open(MAIL)];
  await Promise.all([facts(one), facts(two)]);
  const disposing = there.host[Symbol.asyncDispose]();
  assert.deepEqual([await closeCode(one), await closeCode(two)], ["host_stopped", "host_stopped"]);
  await disposing;
  assert.equal(there.log.filter((line) => line.startsWith("talos: session closed")).length, 2);
  assert.equal(there.clock.timers, 0);
});

Deno.test("McpHost keeps children ready for those who may use them, until their grant expires", async () => {
  const clock = new FakeClock(NOW);
  const log: string[] = [];
  const sink = createLog({
    write: (line) => log.push(line),
    level: "info",
    json: false,
    now: () => 0,
  });
  const service = new McpService({
    service: FILES,
    plan: ({ name }) => puppetPlan("--caller", name ?? "nobody"),
    limits: {},
    launcher: new Launcher(Deno.build.os),
    prewarm: 1,
    interceptors: () => [],
    maxMessage: 65_536,
    clock,
    log: sink,
  });
  const access = {
    grants: [grant(ALICE, FILES, NOW + 30_000), grant(MALLORY)],
    revocations: [],
  };
  await using there = new TestHost(access, { services: [service], clock, log: sink });
  await there.host.serve((async function* () {})());
  assert.deepEqual(service.prewarmed, [
    { peer: ALICE.peerId, ready: 1 },
    { peer: MALLORY.peerId, ready: 1 },
  ]);
  await clock.advance(29_999);
  assert.equal(service.prewarmed.length, 2);
  await clock.advance(1);
  assert.deepEqual(service.prewarmed, [{ peer: MALLORY.peerId, ready: 1 }]);
  there.host.accessChanged({ ...access, revocations: [revocation(MALLORY)] });
  assert.deepEqual(service.prewarmed, []);
});

/** Lets in whoever says anything. */
function joinable(clock: () => FakeClock) {
  return {
    join: (session: Session) =>
      serveJoin(
        session,
        clock(),
        () => Promise.resolve({ joined: { name: "host", service: FILES, called: "guest" } }),
      ),
  };
}

Deno.test("McpHost lets a stranger open talos/join, and nobody where there is no such thing", async () => {
  await using without = new TestHost({});
  assert.equal(
    await without.refusal("talos/join"),
    "unauthorized: this peer is not authorised for that service",
  );
  await using there: TestHost = new TestHost({}, joinable(() => there.clock));
  const session = await there.open("talos/join", MALLORY);
  const joined = await soon(
    askToJoin(session, new Uint8Array(16), { peer: MALLORY.peerId, name: "mallory" }),
    "an answer",
  );
  assert.deepEqual(joined, { name: "host", service: FILES, called: "guest" });
  await session.close();
  assert.equal(await there.refusal(FILES, MALLORY), NOT_FILES, "the answer alone permits nothing");
});

Deno.test("McpHost gives a stranger on talos/join one connection, 5 s and 3 KiB", async () => {
  await using there: TestHost = new TestHost({}, joinable(() => there.clock));
  const silent = await there.open("talos/join", MALLORY);
  await soon(silent.opened, "the session");
  await assert.rejects(there.open("talos/join", MALLORY), { code: "busy" });
  await there.clock.advance(4_999);
  assert.deepEqual(there.states, ["live"]);
  await there.clock.advance(1);
  assert.equal(await closeCode(silent), "protocol");

  const loud = await there.open("talos/join", MALLORY);
  await soon(loud.opened, "the session");
  assert.equal(loud.peerMaxMessage, 3072);
  assert.deepEqual([...there.host.sessions].map(({ grant }) => grant.window), [3072]);
  await assert.rejects(loud.send(new Uint8Array(3_073)), { code: "message_too_large" });
});

Deno.test("McpHost goes on when permissions change while somebody is on talos/join", async () => {
  await using there: TestHost = new TestHost({}, joinable(() => there.clock));
  const session = await there.open("talos/join", MALLORY);
  await soon(session.opened, "the session");
  there.host.accessChanged({ grants: [grant(ALICE)], revocations: [revocation(MALLORY)] });
  assert.deepEqual(there.states, ["live"]);
  const asked = { peer: MALLORY.peerId, name: "mallory" };
  assert.equal(
    (await soon(askToJoin(session, new Uint8Array(16), asked), "an answer")).name,
    "host",
  );
});
