import assert from "node:assert/strict";
import { utf8 } from "../../lib/bytes.ts";
import { Session } from "../../lib/session/session.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { keptLog } from "../identity/temporary_home.ts";
import { turn } from "./fake_clock.ts";
import { openBody, receiveTexts } from "./peers.ts";
import { ResumeScene } from "./resume_scene.ts";

/** Opens a session that has said something and heard the answer. */
async function opened(scene: ResumeScene): Promise<Session> {
  const session = scene.open();
  await scene.until(session.opened);
  await scene.until(session.send(utf8("first")));
  assert.deepEqual(await scene.until(receiveTexts(session, 1)), ["re: first"]);
  return session;
}

Deno.test("Session.moveTo() goes on over a better connection, without a word of loss", async () => {
  const { log, lines } = keptLog();
  const scene = new ResumeScene({ host: { log } });
  const session = await opened(scene);
  assert.equal(session.moveTo(scene.connect()), true);
  await turn();
  await turn();
  // The host never took it for lost.
  assert.deepEqual(lines.filter((line) => line.includes("detached")), []);
  assert.equal(lines.filter((line) => line.includes("session resumed")).length, 1);
  assert.equal(session.state, "live");
  assert.deepEqual(scene.kinds, ["resumed"]);
  assert.equal(scene.cables[0]?.near.closed, true);
  assert.equal(scene.hosted[0]?.counts.resumptions, 1);
  await scene.until(session.send(utf8("second")));
  assert.deepEqual(await scene.until(receiveTexts(session, 1)), ["re: second"]);
  assert.deepEqual(scene.heard, ["first", "second"]);
  await scene.until(session.close());
  await scene.until(scene.host[Symbol.asyncDispose]());
  assert.equal(scene.clock.timers, 0);
});

Deno.test("Session.moveTo() loses and repeats nothing when messages are under way in both directions", async () => {
  const scene = new ResumeScene();
  const session = await opened(scene);
  const said = Array.from({ length: 60 }, (_, i) => `${i} ${"x".repeat(i * 50)}`);
  const hearing = receiveTexts(session, said.length);
  const saying = (async () => {
    for (const [i, text] of said.entries()) {
      await session.send(utf8(text));
      if (i % 7 === 3) session.moveTo(scene.connect());
      if (i % 5 === 0) await turn();
    }
  })();
  await scene.until(saying);
  assert.deepEqual(await scene.until(hearing), said.map((text) => `re: ${text}`));
  assert.deepEqual(scene.heard.slice(1), said);
  assert.ok(session.counts.resumptions >= 2, `${session.counts.resumptions}`);
  assert.equal(scene.kinds.includes("lost"), false);
  await scene.until(session.close());
});

Deno.test("Session.moveTo() dials again when the better connection breaks before the host answers", async () => {
  const scene = new ResumeScene({ faults: [[{}, {}], [{ cutAfterBytes: 5 }, {}]] });
  const session = await opened(scene);
  assert.equal(session.moveTo(scene.connect()), true);
  await scene.until(session.send(utf8("second")));
  assert.deepEqual(await scene.until(receiveTexts(session, 1)), ["re: second"]);
  assert.deepEqual(scene.heard, ["first", "second"]);
  assert.equal(scene.cables[0]?.near.closed, true);
  await scene.until(session.close());
  assert.equal(scene.clock.timers, 0);
});

Deno.test("Session.moveTo() takes nothing, and changes nothing, when it cannot go on there", async () => {
  const scene = new ResumeScene();
  const refuses = (session: Session, what: string) => {
    const connection = scene.connect();
    assert.equal(session.moveTo(connection), false, what);
    connection.channel.close();
  };
  const young = scene.open(new Uint8Array(16).fill(8));
  refuses(young, "before it is granted");
  young.abort(new Error("enough"));

  const session = await opened(scene);
  const other = { ...scene.connect(), instance: new Uint8Array(16).fill(99) };
  assert.equal(session.moveTo(other), false, "to another process");
  other.channel.close();
  scene.unreachable = new Error("nowhere");
  assert.equal(session.state, "live");
  const closing = session.close();
  refuses(session, "while it closes");
  await scene.until(closing);
  refuses(session, "when it is over");

  const bound = Session.open(
    scene.connect(),
    openBody({ id: new Uint8Array(16).fill(9) }),
    scene.clock,
  );
  await scene.until(bound.opened);
  refuses(bound, "without a way to dial again");
  bound.abort(new Error("enough"));
});

Deno.test("Session.roundTripMs is how long the host took to answer, measured anew when asked for", async () => {
  const scene = new ResumeScene();
  const session = scene.open();
  assert.equal(session.roundTripMs, undefined);
  await scene.until(session.opened);
  assert.equal(typeof session.roundTripMs, "number");
  const [host] = scene.hosted;
  assert.equal(host?.roundTripMs, undefined);
  await scene.until(host!.measureRoundTrip(1_000));
  assert.equal(host?.roundTripMs, 0);
  await scene.until(session.close());
});

for (let seed = 0; seed < 40; seed++) {
  Deno.test(`Session.moveTo() loses and repeats nothing when connections break at random (seed ${seed})`, async () => {
    const random = new SeededRandom(`move ${seed}`);
    const bytes = (limit: number) => {
      const [high = 0, low = 0] = random.bytes(2);
      return ((high << 8) | low) % limit;
    };
    const faults = Array.from({ length: 40 }, () => {
      const cut = () => (bytes(3) === 0 ? { cutAfterBytes: 60 + bytes(3_000) } : {});
      return [cut(), cut()] as const;
    });
    const scene = new ResumeScene({ faults: [[{}, {}], ...faults] });
    const session = await opened(scene);
    const said = Array.from({ length: 40 }, (_, i) => `${i} ${"x".repeat(bytes(400))}`);
    const hearing = receiveTexts(session, said.length);
    const saying = (async () => {
      for (const text of said) {
        await session.send(utf8(text));
        if (bytes(4) === 0) {
          const connection = scene.connect();
          if (!session.moveTo(connection)) connection.channel.close();
        }
        if (bytes(8) === 0) await scene.cut();
        if (bytes(2) === 0) await turn();
      }
    })();
    await scene.until(saying, 600_000);
    assert.deepEqual(await scene.until(hearing, 600_000), said.map((text) => `re: ${text}`));
    assert.deepEqual(scene.heard.slice(1), said);
    assert.equal(scene.hosted.length, 1);
    await scene.until(session.close());
    await scene.until(scene.host[Symbol.asyncDispose]());
    assert.equal(scene.clock.timers, 0);
  });
}
