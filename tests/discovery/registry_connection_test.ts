import assert from "node:assert/strict";
import { DiscoveryError } from "../../lib/discovery/errors.ts";
import { connectToRegistry } from "../../lib/discovery/registry_connection.ts";
import { forgetKey, pinKey, pinnedKey } from "../../lib/discovery/registry_keys.ts";
import { SessionError } from "../../lib/session/errors.ts";
import { TransportError } from "../../lib/transport/errors.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import { seededIdentity } from "../../scripts/seeded_identity.ts";
import { MALLORY } from "../session/peers.ts";
import { failure } from "./endpoint_records.ts";
import { ADDRESS, type Scene, scene } from "./fake_registry.ts";

const OLD = seededIdentity("old registry").peerId;

/** Connects and closes, and returns whom it met. */
async function meet({ options }: Scene, changes: Partial<Scene["options"]> = {}) {
  const { channel, peer } = await connectToRegistry({ ...options, ...changes });
  channel.close();
  return peer;
}

Deno.test("connectToRegistry() pins the key that the handshake proves when it sees the registry first", async () => {
  await using stage = await scene();
  const key = stage.registry.identity.peerId;
  assert.equal(await meet(stage), key);
  assert.equal(pinnedKey(stage.database, ADDRESS), key);
  assert.equal(stage.registry.connects, 2); // who-are-you, then the handshake
  assert.deepEqual(stage.lines, [
    `talos: registry pinned registry=registry.test:8765 key=${key}`,
  ]);
  assert.equal(await meet(stage), key);
  assert.equal(stage.registry.connects, 3); // asks no more
});

Deno.test("connectToRegistry() refuses with both keys and the cure when the key has changed", async () => {
  await using stage = await scene();
  pinKey(stage.database, ADDRESS, OLD, 1);
  const error = await failure(meet(stage), "registry_key_changed");
  const now = stage.registry.identity.peerId;
  assert.equal(
    error.message,
    `The registry registry.test:8765 has another key than before: it was ${OLD}, it is ${now}`,
  );
  assert.equal(
    error.hints.at(-1),
    "if it has a new one, forget the old one: talos forget-registry registry.test:8765",
  );
  assert.equal(pinnedKey(stage.database, ADDRESS), OLD);
  assert.deepEqual(stage.registry.requests, []);
  forgetKey(stage.database, ADDRESS);
  assert.equal(await meet(stage), now);
});

Deno.test("connectToRegistry() takes the key of the address when there is one, and pins it", async () => {
  await using stage = await scene();
  const id = stage.registry.identity.peerId;
  assert.equal(await meet(stage, { address: { ...ADDRESS, id } }), id);
  assert.equal(stage.registry.connects, 1);
  assert.equal(pinnedKey(stage.database, ADDRESS), id);
});

Deno.test("connectToRegistry() refuses when the registry has not the key of the address", async () => {
  await using stage = await scene();
  const now = stage.registry.identity.peerId;
  const error = await failure(
    meet(stage, { address: { ...ADDRESS, id: OLD } }),
    "registry_key_changed",
  );
  assert.equal(
    error.hints.at(-1),
    `if it has a new one: talos register --server ${now}@registry.test:8765`,
  );
  assert.equal(pinnedKey(stage.database, ADDRESS), undefined);
});

Deno.test("connectToRegistry() pins nothing when who-are-you is answered by an impostor", async () => {
  await using stage = await scene();
  const honest = stage.registry.identity;
  let asked = 0;
  const connect: Scene["options"]["connect"] = () => {
    // The first answer names the key that the second end does not hold.
    stage.registry.identity = asked++ === 0 ? honest : MALLORY;
    return stage.registry.connect();
  };
  await failure(meet(stage, { connect }), "registry_unreachable");
  assert.equal(pinnedKey(stage.database, ADDRESS), undefined);
});

Deno.test("connectToRegistry() says that it cannot be reached when nothing listens", async () => {
  await using stage = await scene();
  stage.registry.isDown = true;
  const error = await failure(meet(stage), "registry_unreachable");
  assert.equal(
    error.message,
    "Cannot reach the registry registry.test:8765: nothing listens there (connection refused)",
  );
  assert.deepEqual(error.hints.slice(0, 2), [
    "see whether its port is open from here: nc -vz registry.test 8765",
    "if its talos-server has ended, start it again with the --data-dir that it had",
  ]);
});

Deno.test("connectToRegistry() says to check the name when it has no address", async () => {
  await using stage = await scene();
  const connect: Scene["options"]["connect"] = () =>
    Promise.reject(new TransportError("name_unknown", "Cannot connect to x: no address"));
  const error = await failure(meet(stage, { connect }), "registry_unreachable");
  assert.equal(error.hints[0], "check the name registry.test: it has no address");
  assert.ok(!error.hints.some((hint) => hint.includes("nc -vz")));
});

Deno.test("connectToRegistry() gives up after 10 s when there is no way to the registry", async () => {
  await using stage = await scene();
  const connect: Scene["options"]["connect"] = ({ host }, signal) =>
    new Promise((_, reject) =>
      signal.addEventListener(
        "abort",
        () => reject(new TransportError("unreachable", `Cannot connect to ${host}: no answer`)),
      )
    );
  const lost = failure(meet(stage, { connect }), "registry_unreachable");
  await stage.clock.advance(9_999);
  assert.equal(stage.clock.timers, 1);
  await stage.clock.advance(1);
  assert.equal((await lost).message, "Cannot reach the registry registry.test:8765: no answer");
});

Deno.test("connectToRegistry() believes the address when another key is pinned, and leaves that pinned", async () => {
  await using stage = await scene();
  pinKey(stage.database, ADDRESS, OLD, 1);
  const id = stage.registry.identity.peerId;
  assert.equal(await meet(stage, { address: { ...ADDRESS, id } }), id);
  assert.equal(pinnedKey(stage.database, ADDRESS), OLD);
});

Deno.test("connectToRegistry() refuses when another process pinned another key meanwhile", async () => {
  await using stage = await scene();
  let connects = 0;
  const connect: Scene["options"]["connect"] = () => {
    if (++connects === 2) pinKey(stage.database, ADDRESS, OLD, 1);
    return stage.registry.connect();
  };
  await failure(meet(stage, { connect }), "registry_key_changed");
  assert.equal(pinnedKey(stage.database, ADDRESS), OLD);
});

Deno.test("connectToRegistry() gives up after 10 s when the registry says nothing", async () => {
  for (const known of [false, true]) {
    await using stage = await scene();
    stage.registry.isMute = true;
    if (known) pinKey(stage.database, ADDRESS, OLD, 1);
    const lost = failure(meet(stage), "registry_unreachable");
    await stage.clock.advance(9_999);
    assert.equal(stage.clock.timers, 1);
    await stage.clock.advance(1);
    assert.match((await lost).message, known ? /within 10 s/ : /does not say who it is/);
    assert.equal(stage.clock.timers, 0);
  }
});

Deno.test("connectToRegistry() says that it is no registry when another program answers", async () => {
  for (const pinned of [undefined, OLD]) {
    await using stage = await scene();
    if (pinned !== undefined) pinKey(stage.database, ADDRESS, pinned, 1);
    const connect: Scene["options"]["connect"] = async () => {
      const [near, far] = memoryPair();
      await Promise.resolve();
      void far.read(new Uint8Array(2048)).then(() =>
        far.write(new TextEncoder().encode("HTTP/1.1 400 Bad Request\r\n\r\n")).then(
          () => far.close(),
          () => far.close(),
        )
      );
      return near;
    };
    const error = await failure(meet(stage, { connect }), "not_a_registry");
    assert.equal(
      error.message,
      "Cannot use registry.test:8765: what answers there is no Talos registry",
    );
  }
});

Deno.test("connectToRegistry() says that it cannot be reached when the registry breaks off", async () => {
  await using stage = await scene();
  const id = stage.registry.identity.peerId;
  let connects = 0;
  const connect: Scene["options"]["connect"] = () => {
    if (connects++ > 0) return stage.registry.connect(); // who-are-you: the same key as before
    const [near, far] = memoryPair();
    far.close();
    return Promise.resolve(near);
  };
  const error = await failure(
    meet(stage, { address: { ...ADDRESS, id }, connect }),
    "registry_unreachable",
  );
  assert.match(error.message, /does not complete the handshake/);
});

Deno.test("connectToRegistry() goes on with the registry's time when clocks differ by 75 s, and says so", async () => {
  await using stage = await scene();
  stage.registry.aheadMs = 75_000;
  const { channel, skewMs } = await connectToRegistry(stage.options);
  channel.close();
  assert.equal(skewMs, 75_000);
  assert.match(stage.lines[0] ?? "", /^talos: warning: clocks differ by 75 s, the limit is 60 s/);
});

Deno.test("connectToRegistry() ends at once when its signal aborts while it connects", async () => {
  await using stage = await scene();
  stage.registry.isMute = true;
  const stop = new AbortController();
  const lost = assert.rejects(meet(stage, { signal: stop.signal }), DiscoveryError);
  await stage.clock.advance(1);
  stop.abort();
  await lost;
  assert.equal(stage.clock.timers, 0);
});

Deno.test("connectToRegistry() throws the SessionError when versions do not match", async () => {
  await using stage = await scene();
  const id = stage.registry.identity.peerId;
  const connect: Scene["options"]["connect"] = () => {
    const [near, far] = memoryPair();
    void far.read(new Uint8Array(4096)).then(() =>
      far.write(Uint8Array.of(...new TextEncoder().encode("TALOS"), 2, 3, 0))
    );
    return Promise.resolve(near);
  };
  await assert.rejects(
    meet(stage, { address: { ...ADDRESS, id }, connect }),
    (error: unknown) => error instanceof SessionError && error.code === "version",
  );
});
