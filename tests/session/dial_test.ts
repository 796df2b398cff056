import assert from "node:assert/strict";
import type { Log } from "../../lib/log.ts";
import { dial, type DialOptions } from "../../lib/session/dial.ts";
import { respond, type RespondOptions } from "../../lib/session/handshake.ts";
import { TransportError } from "../../lib/transport/errors.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import type { Connection } from "../../lib/session/connection.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { FakeClock } from "./fake_clock.ts";
import { ALICE, failure, HOST, initiating, MALLORY, responding } from "./peers.ts";

const NOW = 1_750_000_000_000;

/** A log that keeps its warnings. */
class Warnings implements Log {
  readonly lines: string[] = [];
  debug(): void {}
  info(): void {}
  warn(event: string): void {
    this.lines.push(event);
  }
  error(event: string): void {
    assert.fail(event);
  }
}

/** Dials a host whose clock differs from ours by `skewMs`. */
class Call {
  readonly log = new Warnings();
  readonly answers: PromiseSettledResult<Connection>[] = [];
  readonly #host: RespondOptions;
  readonly #options: DialOptions;

  constructor(skewMs: number, own: Partial<DialOptions> = {}, host: Partial<RespondOptions> = {}) {
    this.#host = responding({ clock: new FakeClock(NOW + skewMs), ...host });
    this.#options = {
      ...initiating({ clock: new FakeClock(NOW), random: new SeededRandom("dial").bytes }),
      log: this.log,
      connect: () => Promise.resolve(this.#connect()),
      ...own,
    };
  }

  #connect() {
    const [near, far] = memoryPair();
    void Promise.allSettled([respond(far, this.#host)]).then(([answer]) =>
      this.answers.push(answer)
    );
    return near;
  }

  async dial(): Promise<Connection> {
    const connection = await dial(this.#options);
    connection.channel.close();
    return connection;
  }
}

const minute = (seconds: number) => seconds * 1000;

for (const seconds of [0, 59, -59, 60, -60]) {
  Deno.test(`dial() connects at the first attempt when the clocks differ by ${seconds} s`, async () => {
    const call = new Call(minute(seconds));
    const connection = await call.dial();
    assert.equal(connection.peer, HOST.peerId);
    assert.equal(connection.skewMs, minute(seconds));
    assert.equal(call.answers.length, 1);
    assert.deepEqual(call.log.lines, []);
  });
}

for (const seconds of [61, -61, 75, -86_400]) {
  Deno.test(`dial() warns and connects at the second attempt when the clocks differ by ${seconds} s`, async () => {
    const call = new Call(minute(seconds));
    const connection = await call.dial();
    assert.equal(connection.skewMs, minute(seconds));
    const [first, second] = call.answers;
    assert.ok(first?.status === "rejected" && second?.status === "fulfilled");
    assert.equal(first.reason.code, "clock");
    assert.equal(first.reason.skewMs, -minute(seconds));
    assert.equal(second.value.peer, ALICE.peerId);
    assert.equal(call.answers.length, 2);
    assert.deepEqual(call.log.lines, [
      `clocks differ by ${Math.abs(seconds)} s, the limit is 60 s; going on with the time of ${
        HOST.peerId.slice(0, 12)
      }…`,
    ]);
  });
}

for (const seconds of [61, -61]) {
  Deno.test(`dial() fails with clock when it is strict and the clocks differ by ${seconds} s`, async () => {
    const call = new Call(minute(seconds), { strictClock: true });
    const error = await failure(call.dial(), "clock");
    assert.match(error.message, /61 s.*60 s/);
    assert.equal(error.skewMs, minute(seconds));
    assert.match(error.hints[0]!, seconds > 0 ? /clock is behind/ : /clock is ahead/);
    assert.equal(call.answers.length, 1);
    assert.deepEqual(call.log.lines, []);
  });

  Deno.test(`dial() fails with clock when the host is strict and the clocks differ by ${seconds} s`, async () => {
    const call = new Call(minute(seconds), {}, { strictClock: true });
    const error = await failure(call.dial(), "clock");
    assert.equal(error.strict, true);
    assert.equal(call.answers.length, 1);
    assert.deepEqual(call.log.lines, []);
  });
}

Deno.test("dial() connects when both are strict and the clocks differ by 60 s", async () => {
  const call = new Call(minute(60), { strictClock: true }, { strictClock: true });
  assert.equal((await call.dial()).skewMs, 60_000);
});

Deno.test("dial() fails with clock when the host refuses its own time too", async () => {
  // A host whose clock runs away between the two attempts.
  const clock = new FakeClock(NOW + minute(100));
  const call = new Call(0, {}, {
    clock: {
      now: () => (clock.jump(minute(100)), clock.now()),
      monotonic: () => 0,
      after: clock.after.bind(clock),
    },
  });
  await failure(call.dial(), "clock");
  assert.equal(call.answers.length, 2);
  assert.equal(call.log.lines.length, 1);
});

Deno.test("dial() tries once only when it fails for another reason", async () => {
  const call = new Call(0, { peer: MALLORY.peerId });
  await failure(call.dial(), "handshake_failed");
  assert.equal(call.answers.length, 1);
  const refused = new Call(0, {}, { refuse: () => "busy" });
  await failure(refused.dial(), "busy");
  assert.equal(refused.answers.length, 1);
});

Deno.test("dial() throws what connecting throws", async () => {
  const unreachable = new TransportError("refused", "nobody is at home");
  const call = new Call(0, { connect: () => Promise.reject(unreachable) });
  await assert.rejects(call.dial(), (error) => error === unreachable);
});
