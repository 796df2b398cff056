import assert from "node:assert/strict";
import type { FailedAttempt, RaceOutcome } from "../../lib/discovery/race_dial.ts";
import { racePaths } from "../../lib/discovery/race_paths.ts";
import type { Connection } from "../../lib/session/connection.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import { FakeClock } from "../session/fake_clock.ts";
import { channelsOver, connectionOver, HOST, isSettled } from "../session/peers.ts";

/** What a way does after so many milliseconds; never anything when it is silent. */
type Behaviour = { readonly ms: number; readonly ok: boolean } | "silent";

const FAILURES: readonly FailedAttempt[] = [
  { address: { host: "10.0.0.1", port: 1 }, error: new Error("direct failed") },
];

function race(direct: Behaviour, relay: Behaviour | null, isFinal = false) {
  const clock = new FakeClock();
  const made: Record<string, Connection> = {};
  const closed: string[] = [];
  const began: Record<string, number> = {};
  const signals: AbortSignal[] = [];
  const connection = (name: string) => {
    const [near, other] = memoryPair();
    other.read(new Uint8Array(1)).then(() => closed.push(name));
    return made[name] = connectionOver(channelsOver([near, other])[0], HOST);
  };
  const way = <T>(
    name: string,
    behaviour: Behaviour,
    signal: AbortSignal,
    act: (ok: boolean) => T,
  ) => {
    began[name] = clock.monotonic();
    signals.push(signal);
    return new Promise<T>((resolve, reject) => {
      if (behaviour === "silent") return;
      clock.after(behaviour.ms, () => {
        try {
          resolve(act(behaviour.ok));
        } catch (error) {
          reject(error);
        }
      });
    });
  };
  const racing = racePaths({
    direct: (signal) =>
      way(
        "direct",
        direct,
        signal,
        (ok): RaceOutcome => ok ? { connection: connection("direct") } : { failures: FAILURES },
      ),
    relay: relay === null ? null : (signal) =>
      way("relay", relay, signal, (ok) => {
        if (!ok) throw new Error("relay failed");
        return connection("relay");
      }),
    isFinal: () => isFinal,
  }, clock);
  return { clock, made, closed, began, signals, racing };
}

Deno.test("racePaths() never asks the relay when the direct way takes less than 300 ms", async () => {
  const { clock, made, began, racing } = race({ ms: 299, ok: true }, { ms: 1, ok: true });
  await clock.advance(299);
  assert.deepEqual(await racing, { connection: made["direct"] });
  assert.deepEqual(Object.keys(began), ["direct"]);
  assert.equal(clock.timers, 0);
});

Deno.test("racePaths() asks the relay after 300 ms, and gives the direct way up when that is faster", async () => {
  const { clock, made, began, signals, racing } = race("silent", { ms: 50, ok: true });
  await clock.advance(350);
  assert.deepEqual(await racing, { connection: made["relay"] });
  assert.equal(began["relay"], 300);
  assert.deepEqual(signals.map(({ aborted }) => aborted), [true, true]);
});

Deno.test("racePaths() asks the relay at once when no direct way is left", async () => {
  const { clock, made, began, racing } = race({ ms: 20, ok: false }, { ms: 50, ok: true });
  await clock.advance(70);
  assert.deepEqual(await racing, { connection: made["relay"] });
  assert.equal(began["relay"], 20);
});

Deno.test("racePaths() takes the direct way when it is faster in the end, and closes the relay's", async () => {
  const { clock, made, closed, racing } = race({ ms: 400, ok: true }, { ms: 500, ok: true });
  await clock.advance(400);
  assert.deepEqual(await racing, { connection: made["direct"] });
  await clock.advance(500);
  assert.deepEqual(closed, ["relay"]);
});

Deno.test("racePaths() closes the direct connection when it comes about behind the relay's", async () => {
  const { clock, made, closed, racing } = race({ ms: 400, ok: true }, { ms: 50, ok: true });
  await clock.advance(1_000);
  assert.deepEqual(await racing, { connection: made["relay"] });
  assert.deepEqual(closed, ["direct"]);
});

Deno.test("racePaths() waits for the direct way when the relay fails", async () => {
  const { clock, made, racing } = race({ ms: 900, ok: true }, { ms: 10, ok: false });
  await clock.advance(800);
  assert.equal(await isSettled(racing), false);
  await clock.advance(100);
  assert.deepEqual(await racing, { connection: made["direct"] });
});

Deno.test("racePaths() returns what became of both when neither leads anywhere", async () => {
  const { clock, racing } = race({ ms: 10, ok: false }, { ms: 10, ok: false });
  await clock.advance(20);
  assert.deepEqual(await racing, { failures: FAILURES, relayError: new Error("relay failed") });
  const alone = race({ ms: 10, ok: false }, null);
  await alone.clock.advance(10);
  assert.deepEqual(await alone.racing, { failures: FAILURES });
});

Deno.test("racePaths() asks no relay when the peer itself has answered", async () => {
  const { clock, began, racing } = race({ ms: 10, ok: false }, { ms: 10, ok: true }, true);
  await clock.advance(20);
  assert.deepEqual(await racing, { failures: FAILURES });
  assert.deepEqual(Object.keys(began), ["direct"]);
});
