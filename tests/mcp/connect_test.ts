import assert from "node:assert/strict";

import { fromUtf8, utf8 } from "../../lib/bytes.ts";
import { createLog } from "../../lib/log.ts";
import { connectAgent, type ConnectOptions } from "../../lib/mcp/connect.ts";
import type { Interceptor, Passing, Verdict } from "../../lib/mcp/pipeline.ts";
import { SessionError } from "../../lib/session/errors.ts";
import type { RecordChannel } from "../../lib/session/record_channel.ts";
import { Session } from "../../lib/session/session.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import { TransportError } from "../../lib/transport/errors.ts";
import { encodeReason } from "../../lib/session/bodies.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { FakeClock, turn } from "../session/fake_clock.ts";
import {
  channelsOver,
  connectionOver,
  HOST,
  isSettled,
  nextFrame,
  openBody,
  rawHost,
  sessionPair,
} from "../session/peers.ts";
import { FakeAgent } from "./fake_agent.ts";

const MAX_MESSAGE = 65_536;

/** A connection of a fake agent, and everything a test looks at. */
interface Connected {
  readonly agent: FakeAgent;
  readonly clock: FakeClock;
  /** Resolves with what `connectAgent` threw, or undefined. */
  readonly done: Promise<unknown>;
  readonly log: string[];
}

function connect(
  openSession: (clock: FakeClock) => Promise<Session>,
  options: Partial<Pick<ConnectOptions, "waitForRequest" | "interceptors" | "maxMessage">> = {},
): Connected {
  const agent = new FakeAgent();
  const clock = new FakeClock();
  const log: string[] = [];
  const done = connectAgent({
    agent,
    clock,
    openSession: () => openSession(clock),
    waitForRequest: true,
    interceptors: [],
    random: new SeededRandom("agent").bytes,
    maxMessage: MAX_MESSAGE,
    log: createLog({ write: (line) => log.push(line), level: "debug", json: false, now: () => 0 }),
    ...options,
  }).then(() => undefined, (error: unknown) => error);
  return { agent, clock, done, log };
}

/** A connection whose host is there at once. */
async function connectedPair(
  options: Parameters<typeof connect>[1] = {},
  opened: { readonly maxMessage?: number } = {},
): Promise<Connected & { readonly host: Session; readonly session: Session }> {
  const pair = Promise.withResolvers<readonly [Session, Session]>();
  let calls = 0;
  const connected = connect(async (clock) => {
    if (calls++ > 0) return await new Promise<never>(() => {}); // the host does not come back
    const sessions = await sessionPair({ clock, opened });
    pair.resolve(sessions);
    return sessions[0];
  }, options);
  const [session, host] = await pair.promise;
  await turn();
  return { ...connected, session, host };
}

/** Checks that the agent is still served, and lets it leave. */
async function goesOn({ agent, clock, done }: Connected): Promise<void> {
  await clock.advance(0);
  assert.ok(!await isSettled(done), "the agent goes on");
  await agent.close();
  assert.equal(await done, undefined);
  assert.equal(clock.timers, 0);
}

function request(id: number | string, method = "tools/call", params: unknown = { name: "t" }) {
  return JSON.stringify({ jsonrpc: "2.0", id, method, params });
}

function response(id: number | string, result: unknown = {}): string {
  return JSON.stringify({ jsonrpc: "2.0", id, result });
}

async function hears(host: Session): Promise<string> {
  const message = await host.receive();
  assert.ok(message !== null, "the session was closed");
  return fromUtf8(message);
}

async function says(host: Session, text: string): Promise<void> {
  await host.send(utf8(text));
  await turn();
}

/** Ends a session as a host does whose log says why. */
async function ends(host: Session, code: string, reason: string): Promise<void> {
  await host.close({ code, reason });
}

function refused(): TransportError {
  return new TransportError("refused", "Cannot connect: nothing listens there");
}

function codeOf(error: unknown): string | undefined {
  return error instanceof SessionError || error instanceof TransportError ? error.code : undefined;
}

Deno.test("connectAgent() passes the very bytes on, in both directions", async () => {
  const { agent, host, done } = await connectedPair();
  const odd = ' {"id":1.0e0, "method" :"x\\u0079" ,"jsonrpc":"2.0","params":{"n":1e400}}';
  await agent.say(odd, '{"jsonrpc":"2.0","method":"notifications/initialized"}');
  assert.equal(await hears(host), odd);
  assert.equal(await hears(host), '{"jsonrpc":"2.0","method":"notifications/initialized"}');
  const answer = '{"result" : {"\\u00e9":"\ud83d\ude00"},"jsonrpc":"2.0","id":1}';
  await says(host, answer);
  await says(host, request("s1", "roots/list"));
  assert.deepEqual(agent.heard, [answer, request("s1", "roots/list")]);
  await agent.say(response("s1"));
  assert.equal(await hears(host), response("s1"));
  await agent.close();
  assert.equal(await host.receive(), null);
  assert.deepEqual(host.closeReason, { code: "done", reason: "" });
  await host.close();
  assert.equal(await done, undefined);
});

Deno.test("connectAgent() keeps its own copy of a line when the chunk's buffer is used again", async () => {
  const { agent, host, done } = await connectedPair();
  await agent.say(request(1), request(2), request(3));
  assert.deepEqual([await hears(host), await hears(host), await hears(host)], [
    request(1),
    request(2),
    request(3),
  ]);
  await agent.close();
  await host.close();
  await done;
});

// Reaching the host

Deno.test("connectAgent() tries again, ever more slowly, when the host is not there yet", async () => {
  const attempts: number[] = [];
  let host: Session | undefined;
  const { agent, clock, done, log } = connect(async (clock) => {
    attempts.push(clock.monotonic());
    if (attempts.length < 12) throw refused();
    const [session, far] = await sessionPair({ clock });
    host = far;
    return session;
  });
  await clock.advance(15_000);
  await agent.say(request(1));
  await clock.advance(15_000);
  assert.deepEqual(
    attempts,
    [0, 50, 150, 350, 750, 1550, 3150, 6350, 11350, 16350, 21350, 26350],
    "50 ms, then twice as long each time, up to 5 s",
  );
  assert.deepEqual(log.slice(0, 2), [
    "talos: dialling attempt=1",
    "talos: warning: Cannot connect: nothing listens there; trying again attempt=1 wait_ms=50",
  ]);
  assert.equal(await hears(host!), request(1));
  await says(host!, response(1));
  assert.deepEqual(agent.heard, [response(1)]);
  await agent.close();
  await host!.close();
  assert.equal(await done, undefined);
  assert.equal(clock.timers, 0);
});

Deno.test("connectAgent() answers the waiting calls when the host is not there within 50 s", async () => {
  const { agent, clock, done } = connect(() => Promise.reject(refused()));
  await clock.advance(120_000);
  assert.ok(!await isSettled(done), "the agent has asked for nothing yet");
  await agent.say(request(1));
  await clock.advance(10_000);
  await agent.say(request("b"), '{"jsonrpc":"2.0","method":"notifications/x"}');
  await clock.advance(39_000);
  assert.deepEqual(agent.heard, []);
  await clock.advance(2_000);
  assert.equal(codeOf(await done), "refused");
  assert.deepEqual(
    agent.messages.map(({ id, error }) => [id, error.code, error.data.talos, error.data.run]),
    [[1, -32005, "unreachable", "no"], ["b", -32005, "unreachable", "no"]],
  );
  assert.equal(
    agent.messages[0].error.message,
    "Cannot connect: nothing listens there; the call was not run",
  );
  assert.equal(clock.timers, 0);
});

Deno.test("connectAgent() gives up after 50 s when an attempt never ends", async () => {
  const opening = Promise.withResolvers<Session>();
  const { agent, clock, done } = connect(() => opening.promise);
  await agent.say(request(1));
  await clock.advance(50_001);
  assert.equal(codeOf(await done), "handshake_timeout");
  assert.equal(agent.messages[0].error.data.talos, "unreachable");
  const [late, host] = await sessionPair({ clock });
  opening.resolve(late);
  await late.ended;
  await host.ended;
});

Deno.test("connectAgent() answers the first request at once when waiting cannot cure the failure", async () => {
  for (const code of ["unauthorized", "handshake_failed", "clock", "unknown_service"] as const) {
    const { agent, clock, done } = connect(() => Promise.reject(new SessionError(code, "No")));
    await clock.advance(20_000);
    assert.ok(!await isSettled(done), "kept for the first request");
    await agent.say('{"jsonrpc":"2.0","method":"notifications/x"}');
    assert.ok(!await isSettled(done), "a notification waits for nothing");
    await agent.say(request(7, "initialize"));
    assert.equal(codeOf(await done), code);
    assert.deepEqual(agent.messages.map(({ id }) => id), [7]);
    assert.equal(agent.messages[0].error.data.code, code);
    assert.equal(clock.timers, 0);
  }
});

Deno.test("connectAgent() tries again when the host hangs up during the handshake, a few times", async () => {
  const attempts: number[] = [];
  const { agent, clock, done } = connect((clock) => {
    attempts.push(clock.monotonic());
    return Promise.reject(new SessionError("handshake_failed", "No"));
  });
  await agent.say(request(7, "initialize"));
  await clock.advance(1_000);
  assert.equal(codeOf(await done), "handshake_failed");
  assert.deepEqual(attempts, [0, 50, 150, 350]);
  assert.deepEqual(agent.messages.map(({ id }) => id), [7]);
});

Deno.test("connectAgent() throws at once when a person types, even what waiting might cure", async () => {
  for (const code of ["unauthorized", "busy"] as const) {
    const { done, agent } = connect(() => Promise.reject(new SessionError(code, "No")), {
      waitForRequest: false,
    });
    assert.equal(codeOf(await done), code);
    assert.deepEqual(agent.heard, []);
  }
});

Deno.test("connectAgent() throws when the agent leaves without asking and the host cannot be reached", async () => {
  const { agent, done } = connect(() => Promise.reject(new SessionError("unauthorized", "No")));
  await agent.close();
  assert.equal(codeOf(await done), "unauthorized");
});

Deno.test("connectAgent() waits 50 s for a request when there is a failure to tell, and no longer", async () => {
  const { clock, done } = connect(() => Promise.reject(new SessionError("clock", "No")));
  await clock.advance(49_999);
  assert.ok(!await isSettled(done));
  await clock.advance(2);
  assert.equal(codeOf(await done), "clock");
});

Deno.test("connectAgent() tells the first request when the host refused before it came", async () => {
  const peer = Promise.withResolvers<Awaited<ReturnType<typeof rawHost>>>();
  const { agent, done, clock } = connect(async (clock) => {
    const raw = await rawHost({ clock });
    peer.resolve(raw);
    return raw.session;
  });
  const { channel } = await peer.promise;
  channel.enqueue(encodeReason("refused", { code: "unauthorized", reason: "not you" }));
  await clock.advance(5_000);
  assert.ok(!await isSettled(done));
  await agent.say(request(1));
  assert.equal(codeOf(await done), "unauthorized");
  assert.deepEqual(agent.messages.map(({ id, error }) => [id, error.data.talos, error.data.run]), [
    [1, "unauthorized", "no"],
  ]);
});

Deno.test("connectAgent() says that a call was not run when it rode behind a refused OPEN", async () => {
  const peer = Promise.withResolvers<Awaited<ReturnType<typeof rawHost>>>();
  const { agent, done } = connect(async (clock) => {
    const raw = await rawHost({ clock });
    peer.resolve(raw);
    return raw.session;
  });
  const { channel } = await peer.promise;
  await agent.say(request(1));
  channel.enqueue(encodeReason("refused", { code: "busy", reason: "four run" }));
  assert.equal(codeOf(await done), "busy");
  assert.deepEqual(agent.messages.map(({ error }) => [error.data.talos, error.data.run]), [
    ["busy", "no"],
  ]);
});

Deno.test("connectAgent() says that it is unknown whether a call was run when the connection was lost before OPENED", async () => {
  const opened = Promise.withResolvers<RecordChannel>();
  const { agent, done, clock } = connect((clock) => {
    const [near, far] = channelsOver(memoryPair());
    opened.resolve(far);
    const busy = new SessionError("busy", "The host takes no more connections now");
    return Promise.resolve(Session.open(connectionOver(near, HOST), openBody(), clock, undefined, {
      redial: () => Promise.reject(busy), // which says nothing about the session
      random: new SeededRandom("redial").bytes,
      onPath: () => {},
    }));
  });
  const channel = await opened.promise;
  await agent.say(request(1));
  for (let type = ""; type !== "data";) type = (await nextFrame(channel)).type;
  channel.close();
  await clock.advance(51_000);
  assert.equal(codeOf(await done), "busy");
  assert.deepEqual(agent.messages.map(({ error }) => [error.data.talos, error.data.run]), [
    ["busy", "unknown"],
  ]);
});

// The agent leaves

Deno.test("connectAgent() ends at once when the agent leaves while dialling and waits for nothing", async () => {
  const opening = Promise.withResolvers<Session>();
  const { agent, clock, done } = connect(() => opening.promise);
  await agent.close();
  assert.equal(await done, undefined);
  const [late, host] = await sessionPair({ clock });
  opening.resolve(late);
  await late.ended;
  await host.ended;
  assert.equal(clock.timers, 0);
});

Deno.test("connectAgent() ends when the agent leaves between two attempts", async () => {
  const { agent, clock, done } = connect(() => Promise.reject(refused()));
  await clock.advance(10_000);
  await agent.close();
  assert.equal(await done, undefined);
  assert.equal(clock.timers, 0);
});

Deno.test("connectAgent() still answers what an agent asked that has closed its end", async () => {
  const opening = Promise.withResolvers<Session>();
  const { agent, clock, done } = connect(() => opening.promise);
  await agent.say(request(1), request(2));
  await agent.close();
  await clock.advance(200);
  const [session, host] = await sessionPair({ clock });
  opening.resolve(session);
  assert.equal(await hears(host), request(1));
  assert.equal(await hears(host), request(2));
  await says(host, response(2));
  assert.ok(!await isSettled(done));
  await clock.advance(200);
  await says(host, response(1));
  assert.equal(await host.receive(), null, "closed as soon as all was answered");
  await host.close();
  assert.equal(await done, undefined);
  assert.deepEqual(agent.heard, [response(2), response(1)]);
  assert.equal(clock.timers, 0);
});

Deno.test("connectAgent() is gone within a second when the agent leaves and no answer comes", async () => {
  const { agent, clock, host, done, log } = await connectedPair();
  await agent.say(request(1));
  await agent.close();
  await clock.advance(851);
  assert.equal(await done, undefined);
  assert.equal(await hears(host), request(1));
  assert.equal(await host.receive(), null, "the host was told that it is over");
  assert.deepEqual(log.slice(1), [
    "talos: warning: the agent left before it was answered calls=1",
  ]);
  assert.equal(clock.timers, 0);
});

Deno.test("connectAgent() still hands on what a server says once it knows that the agent left", async () => {
  const { agent, clock, host, done } = await connectedPair();
  await agent.say(request(1));
  await agent.close();
  assert.equal(await hears(host), request(1));
  await clock.advance(501);
  assert.equal(await host.receive(), null);
  await clock.advance(200);
  await says(host, response(1));
  await host.close();
  assert.equal(await done, undefined);
  assert.deepEqual(agent.heard, [response(1)]);
});

Deno.test("connectAgent() answers a one-shot with the failure when the host is not there", async () => {
  const { agent, clock, done } = connect(() => Promise.reject(refused()));
  await agent.say(request(1));
  await agent.close();
  await clock.advance(501);
  assert.equal(codeOf(await done), "refused");
  assert.equal(agent.messages[0].error.data.talos, "unreachable");
});

Deno.test("connectAgent() takes an agent that no longer reads for one that left", async () => {
  const { agent, host, done } = await connectedPair();
  await agent.say(request(1));
  agent.stopReading();
  await says(host, response(1));
  assert.equal(await hears(host), request(1));
  assert.equal(await host.receive(), null);
  await host.close();
  assert.equal(await done, undefined);
});

Deno.test("connectAgent() keeps no failure for an agent that no longer reads", async () => {
  const { agent, done } = connect(() => Promise.reject(new SessionError("clock", "No")));
  agent.stopReading();
  await agent.say("no message, which is answered");
  assert.equal(codeOf(await done), "clock");
});

// The host ends it

Deno.test("connectAgent() answers every waiting call once when the host ends the session, and says why", async () => {
  const cases = [
    ["unauthorized", "unauthorized", -32006, "ends"],
    ["done", "connection_lost_outcome_unknown", -32015, "ends"],
    ["child_exited", "child_exited", -32011, "goes on"],
    ["host_stopped", "connection_lost_outcome_unknown", -32015, "goes on"],
    ["internal", "connection_lost_outcome_unknown", -32015, "goes on"],
  ] as const;
  for (const [code, name, number, then] of cases) {
    const connected = await connectedPair();
    const { agent, host, session, done } = connected;
    await agent.say(request(1), request("b"));
    await says(host, response(1));
    await ends(host, code, "so it is");
    await turn();
    assert.equal(agent.heard.length, 2, code);
    const { id, error: said } = agent.messages[1];
    const text = `The host ${session.connection.peer} ended the session: so it is`;
    assert.equal(said.message, `${text}; whether the call was run is unknown`);
    assert.deepEqual([id, said.code, said.data.talos, said.data.run, said.data.path], [
      "b",
      number,
      name,
      "unknown",
      "memory memory",
    ]);
    if (then === "goes on") {
      await goesOn(connected);
      continue;
    }
    const error = await done;
    assert.ok(error instanceof SessionError);
    assert.equal(error.message, text);
  }
});

Deno.test("connectAgent() returns when the host ends in order and nobody waits", async () => {
  const { host, done } = await connectedPair();
  await host.close();
  assert.equal(await done, undefined);
});

Deno.test("connectAgent() keeps the reason for the first request when three servers die before it", async () => {
  const hosts: Session[] = [];
  const connected = connect(async (clock) => {
    const [session, host] = await sessionPair({ clock });
    hosts.push(host);
    return session;
  });
  const { agent, clock, done } = connected;
  for (let count = 1; count <= 3; count++) {
    await clock.advance(300);
    assert.equal(hosts.length, count);
    await ends(hosts.at(-1)!, "child_exited", `died ${count}; it said: no such file`);
  }
  await clock.advance(10_000);
  assert.equal(hosts.length, 3, "no fourth one");
  assert.ok(!await isSettled(done));
  await agent.say(request(1, "initialize"));
  assert.equal(codeOf(await done), "service_failed");
  assert.match(
    agent.messages[0].error.message,
    /died 3; it said: no such file; the call was not run$/,
  );
  assert.equal(clock.timers, 0);
});

// The connection is lost

Deno.test("connectAgent() tells sent calls from unsent ones when the connection is lost", async () => {
  const connected = await connectedPair({}, { maxMessage: MAX_MESSAGE });
  const { agent, host } = connected;
  await agent.say(request("init", "initialize"));
  await says(host, response("init", { protocolVersion: "2025-03-26" }));
  agent.heard.length = 0;
  // The host takes nothing more from its window, so that what exceeds it stays here.
  await agent.say(request("sent"));
  for (let id = 0; id < 40; id++) await agent.say(request(id, "m", { x: "x".repeat(60_000) }));
  await agent.say(`[${request("x")},${request("y")}]`);
  host.abort(new Error("the cable"));
  await turn();
  const outcomes = new Map(agent.messages.map(({ id, error }) => [id, error.data.talos]));
  assert.equal(agent.heard.length, 43, "each once");
  assert.equal(outcomes.size, 43);
  assert.equal(outcomes.get("sent"), "connection_lost_outcome_unknown");
  assert.equal(outcomes.get(0), "connection_lost_outcome_unknown");
  assert.equal(outcomes.get("y"), "connection_lost_not_run");
  const states = [...outcomes.values()];
  const first = states.indexOf("connection_lost_not_run");
  assert.ok(first > 10, `${first} were sent`);
  assert.ok(states.slice(first).every((state) => state === "connection_lost_not_run"));
  await goesOn(connected);
});

Deno.test("connectAgent() says that calls were not run when they waited for OPENED", async () => {
  const opening = Promise.withResolvers<Session>();
  let calls = 0;
  const connected = connect(() => calls++ === 0 ? opening.promise : new Promise(() => {}));
  const { agent, clock } = connected;
  const { session } = await rawHost({ clock });
  opening.resolve(session);
  await agent.say(request("a", "m", { x: "x".repeat(4000) }), request("b"));
  session.abort(new SessionError("connection_lost", "Lost the connection"));
  await turn();
  assert.deepEqual(agent.messages.map(({ id, error }) => [id, error.data.run]), [
    ["a", "no"],
    ["b", "no"],
  ]);
  await clock.advance(50);
  await goesOn(connected);
});

Deno.test("connectAgent() still hands on what had arrived when the connection is lost", async () => {
  const { agent, clock, host, done } = await connectedPair();
  const gate = Promise.withResolvers<void>();
  await agent.say(request(1), request(2), request(3));
  agent.blocked = gate.promise;
  await says(host, response(1));
  await says(host, response(2));
  host.abort(new Error("the cable"));
  await turn();
  await agent.say(request(4)); // waits for the next server
  gate.resolve();
  await turn();
  assert.deepEqual(agent.messages.map(({ id, error }) => [id, error?.data.talos]), [
    [1, undefined],
    [2, undefined],
    [3, "connection_lost_outcome_unknown"],
  ]);
  await agent.close();
  await clock.advance(501);
  assert.equal(codeOf(await done), "handshake_timeout", "no server came");
  const { id, error } = agent.messages[3];
  assert.deepEqual([id, error.data.talos, error.data.run], [4, "unreachable", "no"]);
});

Deno.test("connectAgent() answers no cancelled call when the connection is lost", async () => {
  const connected = await connectedPair();
  const { agent, clock, host } = connected;
  await agent.say(
    request(1),
    '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}',
  );
  host.abort(new Error("the cable"));
  await clock.advance(50);
  await goesOn(connected);
  assert.deepEqual(agent.heard, []);
});

// Sizes

Deno.test("connectAgent() fails one request alone when it is longer than we take", async () => {
  const { agent, host, done } = await connectedPair();
  await agent.say(request(1, "m", { x: "x".repeat(MAX_MESSAGE) }), request(2));
  assert.equal(await hears(host), request(2));
  assert.deepEqual(agent.messages.map(({ id, error }) => [id, error.code, error.data]), [[
    1,
    -32012,
    {
      talos: "message_too_large",
      bytes: 65_591,
      limit: 65_536,
    },
  ]]);
  await agent.close();
  await host.close();
  await done;
});

Deno.test("connectAgent() fails one message alone when it is longer than the host takes", async () => {
  const { agent, host, done } = await connectedPair({}, { maxMessage: 4000 });
  await says(host, request("s", "sampling/createMessage"));
  await agent.say(
    request(1, "m", { x: "x".repeat(4000) }),
    response("s", "y".repeat(4000)),
    request(2),
  );
  const heard = [await hears(host), await hears(host)];
  assert.ok(heard.includes(request(2)));
  const { id, error } = JSON.parse(heard.find((line) => line !== request(2)) ?? "");
  assert.deepEqual([id, error.data.talos], ["s", "message_too_large"], "the server is told");
  assert.equal(agent.messages[1].id, 1);
  assert.equal(agent.messages[1].error.data.limit, 4000);
  await says(host, response(2));
  assert.equal(agent.heard.at(-1), response(2), "the session lives on");
  await agent.close();
  await host.close();
  await done;
});

Deno.test("connectAgent() fails a first message alone when the host turns out to take less", async () => {
  const pair = Promise.withResolvers<readonly [Session, Session]>();
  const opening = Promise.withResolvers<void>();
  const { agent, done } = connect(async (clock) => {
    await opening.promise;
    const sessions = await sessionPair({ clock, opened: { maxMessage: 4000 } });
    pair.resolve(sessions);
    return sessions[0];
  });
  await agent.say(request(1, "m", { x: "x".repeat(10_000) }), request(2));
  opening.resolve();
  const [, host] = await pair.promise;
  assert.equal(await hears(host), request(2));
  assert.deepEqual(agent.messages.map(({ id, error }) => [id, error.data.talos]), [
    [1, "message_too_large"],
  ]);
  await agent.close();
  await host.close();
  await done;
});

Deno.test("connectAgent() stops reading the agent when too much waits to be sent", async () => {
  const opening = Promise.withResolvers<Session>();
  const { agent, clock, done } = connect(() => opening.promise);
  const big = "x".repeat(60_000);
  for (let id = 0; id < 40; id++) await agent.say(request(id, "m", { x: big }));
  const { reads } = agent;
  assert.ok(reads < 25, `${reads} chunks were read`);
  await turn();
  assert.equal(agent.reads, reads);
  const [session, host] = await sessionPair({ clock });
  opening.resolve(session);
  for (let id = 0; id < 40; id++) assert.equal(await hears(host), request(id, "m", { x: big }));
  await agent.close();
  for (let id = 0; id < 40; id++) await says(host, response(id));
  await host.close();
  assert.equal(await done, undefined);
  assert.equal(agent.heard.length, 40, "back-pressure, never loss");
});

Deno.test("connectAgent() stops listening to a host that provokes answers and takes none", async () => {
  const { agent, host, done } = await connectedPair();
  const again = utf8(request("s1", "m".repeat(1000)));
  let sent = 0;
  let sending = Promise.resolve();
  do {
    for (let i = 0; i < 250; i++, sent++) sending = host.send(again);
  } while (await isSettled(sending) && sent < 20_000);
  assert.ok(sent < 10_000, `${sent} requests were taken`);
  assert.deepEqual(agent.heard, [request("s1", "m".repeat(1000))]);
  for (let i = 1; i < sent; i++) assert.match(await hears(host), /"id":"s1".*pending/);
  await sending;
  await agent.close();
  await host.close();
  assert.equal(await done, undefined);
});

Deno.test("connectAgent() notices the end of a session while it does not listen to the host", async () => {
  const connected = await connectedPair();
  const { clock, host } = connected;
  const again = utf8(request("s1", "m".repeat(1000)));
  const all = Promise.allSettled(Array.from({ length: 10_000 }, () => host.send(again)));
  assert.equal(await isSettled(all), false);
  host.abort(new Error("enough"));
  await all;
  await clock.advance(50);
  await goesOn(connected);
});

Deno.test("connectAgent() hears the host however much of the agent waits to be sent", async () => {
  const { agent, host, done } = await connectedPair();
  const note = (n: number) =>
    `{"jsonrpc":"2.0","method":"m","params":["${n}${"x".repeat(60_000)}"]}`;
  for (let n = 0; n < 100; n++) await agent.say(note(n));
  assert.ok(agent.reads < 80, `${agent.reads} chunks were read`);
  const news = Array.from({ length: 5 }, (_, n) => `{"jsonrpc":"2.0","method":"news/${n}"}`);
  for (const line of news) await says(host, line);
  assert.deepEqual(agent.heard, news);
  for (let n = 0; n < 100; n++) assert.equal(await hears(host), note(n));
  await agent.close();
  await host.close();
  assert.equal(await done, undefined);
});

Deno.test("connectAgent() stops reading an agent when too many short lines wait to be sent", async () => {
  const { agent, done } = connect(() => new Promise(() => {}));
  const lines = Array.from({ length: 100 }, () => '{"jsonrpc":"2.0","method":"m"}');
  for (let n = 0; n < 100; n++) await agent.say(lines.join("\n"));
  assert.ok(agent.reads < 50, `${agent.reads} chunks were read`); // 42 cost as much as the window
  agent.stopReading();
  void done;
});

// Interceptors

function intercepting(decide: (passing: Passing) => Verdict): Interceptor {
  return { name: "fake", intercept: decide };
}

Deno.test("connectAgent() asks its interceptors about both directions", async () => {
  const seen: string[] = [];
  const { agent, host, done } = await connectedPair({
    interceptors: [intercepting(({ direction, message }) => {
      seen.push(`${direction} ${message.kind}`);
      return { action: "forward" };
    })],
  });
  await agent.say(request(1));
  await hears(host);
  await says(host, response(1));
  await says(host, '{"jsonrpc":"2.0","method":"notifications/message"}');
  assert.deepEqual(seen, ["to_server request", "to_agent response", "to_agent notification"]);
  await agent.close();
  await host.close();
  await done;
});

Deno.test("connectAgent() says that a call was not run when an interceptor held it back", async () => {
  const { agent, host, done, clock } = await connectedPair({
    interceptors: [intercepting(() => ({ action: "hold", until: new Promise(() => {}) }))],
  });
  await agent.say(request(1));
  await ends(host, "unauthorized", "cut");
  await clock.advance(1000);
  await done;
  assert.deepEqual(agent.messages.map(({ id, error }) => [id, error.data.talos]), [
    [1, "unauthorized"],
  ]);
});

Deno.test("connectAgent() waits for a held reply when the host ends the session meanwhile", async () => {
  const decision = Promise.withResolvers<Verdict>();
  const { agent, host, done, clock } = await connectedPair({
    interceptors: [
      intercepting(({ message }) =>
        message.kind === "response"
          ? { action: "hold", until: decision.promise }
          : { action: "forward" }
      ),
    ],
  });
  await agent.say(request(1), request(2));
  await says(host, response(1));
  await ends(host, "unauthorized", "cut");
  await clock.advance(100);
  decision.resolve({ action: "forward" });
  await done;
  assert.deepEqual(agent.messages.map(({ id, error }) => [id, error?.data.talos]), [
    [1, undefined],
    [2, "unauthorized"],
  ]);
});

Deno.test("connectAgent() ends and answers when an interceptor fails", async () => {
  for (const held of [false, true]) {
    const { agent, host, done } = await connectedPair({
      interceptors: [intercepting(() => {
        const fault = new Error("the pins are gone");
        if (!held) throw fault;
        return { action: "hold", until: Promise.reject(fault) };
      })],
    });
    await agent.say(request(1));
    await host.close();
    const error = await done;
    assert.ok(error instanceof Error);
    assert.equal(error.message, "the pins are gone");
    assert.deepEqual(agent.messages.map(({ id, error }) => [id, error.data.run]), [
      [1, "no"],
    ]);
  }
});
