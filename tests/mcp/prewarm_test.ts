import assert from "node:assert/strict";

import { createLog } from "../../lib/log.ts";
import type { Grant } from "../../lib/identity/access.ts";
import { mcpService, parseServerName } from "../../lib/identity/names.ts";
import type { PeerId } from "../../lib/identity/peer_id.ts";
import type { ChildExit } from "../../lib/mcp/child_exit.ts";
import type { Caller } from "../../lib/mcp/launcher.ts";
import { PrewarmPool, REPLACE_AFTER_MS, type WarmChild } from "../../lib/mcp/prewarm.ts";
import { prewarmPlan } from "../../lib/mcp/prewarm_plan.ts";
import { seededIdentity } from "../../scripts/seeded_identity.ts";
import { FakeClock, turn } from "../session/fake_clock.ts";

const [ALICE, BOB] = [peer("alice"), peer("bob")];
const FOR_ALICE: Caller = { peer: ALICE, service: "mcp/default" };
const FOR_BOB: Caller = { peer: BOB, service: "mcp/default" };

function peer(name: string): PeerId {
  return seededIdentity(name).peerId;
}

/** A child that lives until it is told to end. */
class FakeChild implements WarmChild {
  readonly #exit = Promise.withResolvers<ChildExit>();
  readonly process;
  shutDowns = 0;
  /** What ending it fails with. */
  failure: Error | null = null;

  constructor(readonly caller: Caller, pid: number) {
    this.process = {
      pid,
      exited: this.#exit.promise,
      shutDown: () => {
        this.shutDowns++;
        this.die();
        return this.failure === null ? this.#exit.promise : Promise.reject(this.failure);
      },
    };
  }

  die(): void {
    this.#exit.resolve({ code: 1, signal: null });
  }
}

interface Scene extends AsyncDisposable {
  readonly pool: PrewarmPool<FakeChild>;
  readonly clock: FakeClock;
  readonly started: FakeChild[];
  readonly log: string[];
}

function scene(size: number, start?: (child: FakeChild) => void): Scene {
  const clock = new FakeClock();
  const started: FakeChild[] = [];
  const log: string[] = [];
  const pool = new PrewarmPool<FakeChild>({
    size,
    clock,
    log: createLog({ write: (line) => log.push(line), level: "info", json: false, now: () => 0 }),
    start(caller) {
      const child = new FakeChild(caller, started.length + 1);
      started.push(child);
      start?.(child);
      return child;
    },
  });
  return { pool, clock, started, log, [Symbol.asyncDispose]: () => pool[Symbol.asyncDispose]() };
}

Deno.test("PrewarmPool.keepFor() starts as many children for each caller as its size says", async () => {
  await using there = scene(2);
  there.pool.keepFor([FOR_ALICE, FOR_BOB]);
  assert.deepEqual(there.started.map(({ caller }) => caller.peer), [ALICE, ALICE, BOB, BOB]);
  assert.deepEqual(there.pool.counts, [{ peer: ALICE, ready: 2 }, { peer: BOB, ready: 2 }]);
  there.pool.keepFor([FOR_ALICE, FOR_BOB]);
  assert.equal(there.started.length, 4, "nothing changes when nothing changed");
});

Deno.test("PrewarmPool.keepFor() starts nothing when its size is 0", async () => {
  await using there = scene(0);
  there.pool.keepFor([FOR_ALICE]);
  assert.equal(there.started.length, 0);
  assert.equal(there.pool.take(FOR_ALICE), null);
});

Deno.test("PrewarmPool.take() gives a caller its own child, the oldest, untouched, and replaces it", async () => {
  await using there = scene(2);
  there.pool.keepFor([FOR_ALICE, FOR_BOB]);
  const taken = there.pool.take(FOR_ALICE);
  assert.equal(taken, there.started[0]);
  assert.equal(taken?.shutDowns, 0);
  assert.equal(there.started.length, 4, "not while its first call is on the way");
  await there.clock.advance(REPLACE_AFTER_MS);
  assert.equal(there.started[4]?.caller, FOR_ALICE);
  assert.deepEqual(there.pool.counts[0], { peer: ALICE, ready: 2 });
  taken?.die();
  await turn();
  assert.equal(there.clock.timers, 0, "a taken child is not the pool's any more");
});

Deno.test("PrewarmPool.take() gives nothing to somebody who is called otherwise now", async () => {
  await using there = scene(1);
  there.pool.keepFor([{ ...FOR_ALICE, name: "alice" }]);
  assert.equal(there.pool.take(FOR_ALICE), null);
  assert.equal(there.pool.take({ ...FOR_ALICE, name: "al" }), null);
  assert.equal(there.pool.take({ ...FOR_ALICE, name: "alice" }), there.started[0]);
});

Deno.test("PrewarmPool.keepFor() ends the children of those who are not named any more", async () => {
  await using there = scene(2);
  there.pool.keepFor([FOR_ALICE, FOR_BOB]);
  there.pool.keepFor([FOR_BOB]);
  assert.deepEqual(there.started.map(({ shutDowns }) => shutDowns), [1, 1, 0, 0]);
  assert.equal(there.pool.take(FOR_ALICE), null);
  await there.clock.advance(3_600_000);
  assert.equal(there.started.length, 4, "none of them is replaced");
});

Deno.test("PrewarmPool starts a command that ends at once ever less often, once a minute at last", async () => {
  await using there = scene(2, (child) => child.die());
  there.pool.keepFor([FOR_ALICE]);
  const counts: number[] = [];
  for (const ms of [999, 1, 1_999, 1, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000]) {
    await there.clock.advance(ms);
    counts.push(there.started.length);
  }
  assert.deepEqual(counts, [2, 4, 4, 6, 8, 10, 12, 14, 16, 18]);
  assert.deepEqual(there.started.map(({ shutDowns }) => shutDowns), Array(18).fill(1));
  assert.ok(
    there.log.some((line) => line.includes('exit=1 retry="in 60 s"')),
    there.log.join("\n"),
  );
});

Deno.test("PrewarmPool tries a command that cannot be started again later, and lives on", async () => {
  let broken = true;
  await using there = scene(1, () => {
    if (broken) throw new Error("there is no such program");
  });
  there.pool.keepFor([FOR_ALICE]);
  assert.equal(there.pool.take(FOR_ALICE), null);
  broken = false;
  await there.clock.advance(1_000);
  assert.equal(there.pool.take(FOR_ALICE), there.started[1]);
});

Deno.test("PrewarmPool forgets earlier deaths when a child has waited for long", async () => {
  await using there = scene(1);
  there.pool.keepFor([FOR_ALICE]);
  for (const [lifeMs, backoffMs] of [[10, 1_000], [10, 2_000], [60_000, 1_000]] as const) {
    await there.clock.advance(lifeMs);
    there.started.at(-1)?.die();
    await turn();
    const before = there.started.length;
    await there.clock.advance(backoffMs - 1);
    assert.equal(there.started.length, before);
    await there.clock.advance(1);
    assert.equal(there.started.length, before + 1);
  }
});

Deno.test("PrewarmPool ends all its children when it is disposed of, and starts no more", async () => {
  const there = scene(2);
  there.pool.keepFor([FOR_ALICE]);
  there.pool.take(FOR_ALICE);
  await there[Symbol.asyncDispose]();
  assert.deepEqual(there.started.map(({ shutDowns }) => shutDowns), [0, 1]);
  assert.equal(there.clock.timers, 0);
});

Deno.test("PrewarmPool says so when a child cannot be ended, and lives on", async () => {
  await using there = scene(1, (child) => void (child.failure = new Error("not permitted")));
  there.pool.keepFor([FOR_ALICE]);
  there.pool.keepFor([]);
  await turn();
  const said = there.log.filter((line) => line.includes("cannot end a prewarmed MCP server"));
  assert.equal(said.length, 1, there.log.join("\n"));
  assert.match(said[0] ?? "", /pid=1 why="not permitted"/);
});

const NOW = 1_000_000;
const NOTES = mcpService(parseServerName("notes"));
const FILES = mcpService(parseServerName("files"));

function granted(peer: PeerId, service: Grant["service"], expires: number | null = null): Grant {
  return { peer, service, origin: "test", grantedAt: 0, expires };
}

Deno.test("prewarmPlan() names whoever may open a service now, flags first, each once", () => {
  const access = {
    grants: [
      granted(BOB, "*"),
      granted(ALICE, NOTES),
      granted(peer("gone"), NOTES, NOW),
      granted(peer("revoked"), "*"),
    ],
    revocations: [{ peer: peer("revoked"), service: NOTES, revokedAt: 0 }],
  };
  const services = [{ name: NOTES, prewarm: 1 }, { name: FILES, prewarm: 0 }];
  const plan = prewarmPlan({ access, flagGrants: [granted(ALICE, NOTES)], services, now: NOW });
  assert.deepEqual(plan.peers, new Map([[NOTES, [ALICE, BOB]]]));
  assert.deepEqual([plan.leftOut, plan.expires], [0, Infinity]);
});

Deno.test("prewarmPlan() tells when the first of the permissions ends", () => {
  const access = { grants: [granted(ALICE, NOTES, NOW + 5), granted(BOB, "*")], revocations: [] };
  const services = [{ name: NOTES, prewarm: 1 }];
  assert.equal(prewarmPlan({ access, flagGrants: [], services, now: NOW }).expires, NOW + 5);
});

Deno.test("prewarmPlan() stops at 64 children in all and counts whom it leaves out", () => {
  const grants = Array.from({ length: 20 }, (_, index) => granted(peer(`peer ${index}`), "*"));
  const services = [{ name: NOTES, prewarm: 4 }];
  const access = { grants, revocations: [] };
  const plan = prewarmPlan({ access, flagGrants: [], services, now: NOW });
  assert.equal(plan.peers.get(NOTES)?.length, 16);
  assert.equal(plan.leftOut, 4);
});
