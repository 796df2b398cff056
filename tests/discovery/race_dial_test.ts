import assert from "node:assert/strict";
import { type DialOne, raceDial } from "../../lib/discovery/race_dial.ts";
import type { HostPort } from "../../lib/identity/host_port.ts";
import type { Connection } from "../../lib/session/connection.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import type { Transport } from "../../lib/transport/transport.ts";
import { FakeClock } from "../session/fake_clock.ts";
import { channelsOver, connectionOver, HOST, isSettled } from "../session/peers.ts";

/** What an address does: answers or fails after so many milliseconds, or never says anything. */
type Behaviour = { readonly ms: number; readonly ok: boolean } | "silent";

interface Race {
  readonly clock: FakeClock;
  readonly addresses: readonly HostPort[];
  readonly dialOne: DialOne;
  /** When each address was dialled, in milliseconds from the beginning. */
  readonly dialled: number[];
  readonly signals: AbortSignal[];
  readonly connections: (Connection & { readonly other: Transport })[];
}

function race(...behaviours: readonly Behaviour[]): Race {
  const clock = new FakeClock();
  const addresses = behaviours.map((_, i) => ({ host: `10.0.0.${i}`, port: 8766 }));
  const dialled: number[] = [];
  const signals: AbortSignal[] = [];
  const connections: Race["connections"] = [];
  const dialOne: DialOne = (address, signal) => {
    dialled.push(clock.monotonic());
    signals.push(signal);
    const index = Number(address.host.split(".").at(-1));
    const behaviour = behaviours[index] ?? "silent";
    return new Promise((resolve, reject) => {
      signal.addEventListener("abort", () => reject(new Error(`${index} was given up`)));
      if (behaviour === "silent") return;
      clock.after(behaviour.ms, () => {
        if (!behaviour.ok) return reject(new Error(`${index} failed`));
        const [near, other] = memoryPair();
        const connection = { ...connectionOver(channelsOver([near, other])[0], HOST), other };
        connections[index] = connection;
        resolve(connection);
      });
    });
  };
  return { clock, addresses, dialOne, dialled, signals, connections };
}

/** Tells whether the other end of a connection sees that it was closed. */
async function isClosed(connection: Race["connections"][number] | undefined): Promise<boolean> {
  assert.ok(connection !== undefined);
  return await isSettled(connection.other.read(new Uint8Array(1)));
}

Deno.test("raceDial() tries the next address after 250 ms when one is silent, and takes the first that answers", async () => {
  const { clock, addresses, dialOne, dialled, signals, connections } = race(
    "silent",
    { ms: 1_000, ok: true },
    { ms: 10, ok: true },
    { ms: 0, ok: true },
  );
  const racing = raceDial(addresses, dialOne, clock);
  await clock.advance(510);
  assert.deepEqual(dialled, [0, 250, 500]);
  const outcome = await racing;
  assert.ok("connection" in outcome);
  assert.equal(outcome.connection, connections[2]);
  assert.ok(signals.every(({ aborted }) => aborted));
  outcome.connection.channel.close();
});

Deno.test("raceDial() tries the next address at once when one has failed", async () => {
  const { clock, addresses, dialOne, dialled, connections } = race(
    { ms: 0, ok: false },
    { ms: 5, ok: false },
    { ms: 0, ok: true },
  );
  const racing = raceDial(addresses, dialOne, clock);
  await clock.advance(5);
  assert.deepEqual(dialled, [0, 0, 5]);
  const outcome = await racing;
  assert.ok("connection" in outcome && outcome.connection === connections[2]);
  outcome.connection.channel.close();
  assert.equal(clock.timers, 0);
});

Deno.test("raceDial() closes the later connection when two addresses answer", async () => {
  const clock = new FakeClock();
  const made: { readonly connection: Connection; readonly other: Transport }[] = [];
  const addresses = [0, 1].map((i) => ({ host: `10.0.0.${i}`, port: 1 }));
  // As a dialler does that cannot be stopped any more.
  const dialOne: DialOne = ({ host }) =>
    new Promise((resolve) => {
      clock.after(host === "10.0.0.0" ? 300 : 40, () => {
        const [near, other] = memoryPair();
        const connection = connectionOver(channelsOver([near, other])[0], HOST);
        made.push({ connection, other });
        resolve(connection);
      });
    });
  const racing = raceDial(addresses, dialOne, clock);
  await clock.advance(400);
  const outcome = await racing;
  assert.ok("connection" in outcome && outcome.connection === made[0]?.connection);
  assert.equal(await isClosed({ ...made[1]!.connection, other: made[1]!.other }), true);
  assert.equal(await isClosed({ ...made[0].connection, other: made[0].other }), false);
  outcome.connection.channel.close();
});

Deno.test("raceDial() returns every failure in the order of addresses when none answers", async () => {
  const { clock, addresses, dialOne } = race(
    { ms: 700, ok: false },
    { ms: 10, ok: false },
    { ms: 0, ok: false },
  );
  const racing = raceDial(addresses, dialOne, clock);
  await clock.advance(700);
  const outcome = await racing;
  assert.ok("failures" in outcome);
  assert.deepEqual(
    outcome.failures.map(({ address, error }) => [address.host, String(error)]),
    [
      ["10.0.0.0", "Error: 0 failed"],
      ["10.0.0.1", "Error: 1 failed"],
      ["10.0.0.2", "Error: 2 failed"],
    ],
  );
});

Deno.test("raceDial() waits for the slow one when all others have failed", async () => {
  const { clock, addresses, dialOne, connections } = race(
    { ms: 5_000, ok: true },
    { ms: 0, ok: false },
  );
  const racing = raceDial(addresses, dialOne, clock);
  await clock.advance(4_999);
  assert.equal(await isSettled(racing), false);
  await clock.advance(1);
  const outcome = await racing;
  assert.ok("connection" in outcome && outcome.connection === connections[0]);
  outcome.connection.channel.close();
});

Deno.test("raceDial() returns no failure when there is no address", async () => {
  const { clock, dialOne } = race();
  assert.deepEqual(await raceDial([], dialOne, clock), { failures: [] });
});
