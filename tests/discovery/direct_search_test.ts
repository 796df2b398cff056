import assert from "node:assert/strict";
import { DirectSearch } from "../../lib/discovery/direct_search.ts";
import { SILENT } from "../../lib/log.ts";
import type { Connection } from "../../lib/session/connection.ts";
import type { Session } from "../../lib/session/session.ts";
import { TransportError } from "../../lib/transport/errors.ts";
import type { PathLabel } from "../../lib/transport/transport.ts";
import { ResumeScene } from "../session/resume_scene.ts";

const RELAY: PathLabel = { kind: "relay", remote: "192.0.2.1:8765", source: "" };
const DIRECT: PathLabel = { kind: "direct", remote: "192.0.2.7:8766", source: "" };

/** A session that goes through a relay, and a search for a direct way. */
async function searching(direct: (scene: ResumeScene) => Promise<Connection>) {
  const scene = new ResumeScene();
  const connect = scene.connect.bind(scene);
  scene.connect = (from) => ({ ...connect(from), path: RELAY });
  const session: Session = scene.open();
  await scene.until(session.opened);
  const here = { addresses: ["10.0.0.2"] };
  const tried: number[] = [];
  const beganAt = scene.clock.monotonic();
  const search = new DirectSearch({
    session,
    connect: () => {
      tried.push(scene.clock.monotonic() - beganAt);
      return direct(scene);
    },
    addresses: () => here.addresses,
    clock: scene.clock,
    log: SILENT,
  });
  return {
    ...{ scene, session, search, tried, here },
    async end() {
      await scene.until(session.close());
      await scene.until(scene.host[Symbol.asyncDispose]());
      assert.equal(scene.clock.timers, 0);
    },
  };
}

const nowhere = () => Promise.reject(new TransportError("unreachable", "Cannot connect"));

Deno.test("DirectSearch looks for a direct way every 30 s, and at once when addresses change", async () => {
  const there = await searching(nowhere);
  await there.scene.clock.advance(61_000);
  assert.deepEqual(there.tried, [30_000, 60_000]);
  there.here.addresses = ["10.0.0.3"];
  await there.scene.clock.advance(2_000);
  assert.deepEqual(there.tried, [30_000, 60_000, 62_000]);
  await there.scene.clock.advance(28_000);
  assert.equal(there.tried.length, 3);
  await there.end();
});

Deno.test("DirectSearch moves the session when there is a direct way, and looks no further", async () => {
  const there = await searching((scene) =>
    Promise.resolve({ ...scene.connect(), path: DIRECT }) as Promise<Connection>
  );
  await there.scene.clock.advance(30_000);
  assert.deepEqual(there.session.path, DIRECT);
  assert.equal(there.session.state, "live");
  assert.equal(there.session.counts.resumptions, 1);
  await there.scene.clock.advance(120_000);
  assert.equal(there.tried.length, 1);
  await there.end();
});

Deno.test("DirectSearch does not begin a second attempt while one is under way", async () => {
  const there = await searching(() => new Promise(() => {}));
  await there.scene.clock.advance(100_000);
  assert.deepEqual(there.tried, [30_000]);
  await there.end();
});

Deno.test("DirectSearch closes what it finds when the session is over by then", async () => {
  const found = Promise.withResolvers<Connection>();
  const there = await searching(() => found.promise);
  await there.scene.clock.advance(30_000);
  await there.scene.until(there.session.close());
  const late = there.scene.connect();
  found.resolve(late);
  await there.scene.clock.advance(0);
  assert.equal(there.scene.cables.at(-1)?.near.closed, true);
  await there.scene.until(there.scene.host[Symbol.asyncDispose]());
});
