import assert from "node:assert/strict";

import { fromUtf8, utf8 } from "../../lib/bytes.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import { type Access, type Grant, NO_ACCESS, type Revocation } from "../../lib/identity/access.ts";
import type { LocalIdentity } from "../../lib/identity/local_identity.ts";
import { mcpService, parseServerName, type ServiceName } from "../../lib/identity/names.ts";
import { createLog } from "../../lib/log.ts";
import { Launcher } from "../../lib/mcp/launcher.ts";
import { McpHost, type McpHostOptions, ONLY_SERVICE } from "../../lib/mcp/mcp_host.ts";
import { McpService } from "../../lib/mcp/serve.ts";
import { callControl } from "../../lib/session/control.ts";
import { initiate } from "../../lib/session/handshake.ts";
import { Session } from "../../lib/session/session.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import type { Transport } from "../../lib/transport/transport.ts";
import { soon } from "../process/mcp_tunnel.ts";
import { FakeClock, turn } from "../session/fake_clock.ts";
import { ALICE, HOST, initiating, MALLORY, openBody } from "../session/peers.ts";
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

  constructor(access: Partial<Access>, options: Partial<McpHostOptions> = {}) {
    const log = createLog({
      write: (line) => this.log.push(line),
      level: "info",
      json: false,
      now: () => 0,
    });
    const services = [FILES, MAIL].map((service) =>
      new McpService({
        service,
        plan: ({ name }) => puppetPlan("--caller", name ?? "nobody"),
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

  /** Asks for a session, which may be refused. */
  async open(service: string, from = ALICE): Promise<Session> {
    const [near, far] = memoryPair();
    void this.host.serve(once(far));
    const connection = await initiate(
      near,
      initiating({ clock: this.clock, random: systemRandom }, from),
    );
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

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#sessions.map((session) => session.close()));
    await this.host[Symbol.asyncDispose]();
  }
}

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
  const map = (entries: object) => new Map(Object.entries(entries));
  assert.deepEqual(
    status,
    map({
      pid: Deno.pid,
      instance: "ab".repeat(16),
      services: [FILES, MAIL],
      sessions: [map({
        peer: ALICE.peerId,
        service: FILES,
        since: NOW,
        path: "memory memory",
        messages_from_peer: 1,
        messages_to_peer: 1,
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
