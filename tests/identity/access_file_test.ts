/** `access.json` on disk and while it is watched. */

import assert from "node:assert/strict";
import {
  type Access,
  ALL_SERVICES,
  grant,
  mayOpen,
  NO_ACCESS,
  revoke,
} from "../../lib/identity/access.ts";
import { readAccess, updateAccess } from "../../lib/identity/access_file.ts";
import { serialiseAccess } from "../../lib/identity/access_format.ts";
import { writeFileAtomic } from "../../lib/identity/atomic_file.ts";
import type { HomePaths } from "../../lib/identity/home.ts";
import { parseServiceName } from "../../lib/identity/names.ts";
import type { PeerId } from "../../lib/identity/peer_id.ts";
import { watchAccess } from "../../lib/identity/watch_access.ts";
import { utf8 } from "../../lib/bytes.ts";
import { createLog, SILENT } from "../../lib/log.ts";
import { Child } from "./child.ts";
import { codeOf, samplePeer, temporaryHome } from "./temporary_home.ts";

const POSIX = Deno.build.os !== "windows";
const ANN = samplePeer(1);
const FILES = parseServiceName("mcp/files");

function granting(peer: PeerId): (access: Access) => Access {
  return (access) =>
    grant(access, { peer, service: FILES, origin: "command", grantedAt: 0, expires: null });
}

function revoking(peer: PeerId): (access: Access) => Access {
  return (access) => revoke(access, { peer, service: ALL_SERVICES, revokedAt: 0 });
}

Deno.test("readAccess() grants nothing when there is no file", async () => {
  await using home = await temporaryHome();
  assert.deepEqual(await readAccess(home.paths), NO_ACCESS);
});

Deno.test("readAccess() throws access_corrupted, never nothing granted, when the file is damaged", async () => {
  await using home = await temporaryHome();
  const contents = [
    new Uint8Array(0),
    new Uint8Array([0xff]),
    new Uint8Array(2 ** 20 + 1).fill(0x20),
  ];
  for (const content of contents) {
    Deno.writeFileSync(home.paths.access, content);
    assert.equal(await codeOf(() => readAccess(home.paths)), "access_corrupted");
    assert.equal(await codeOf(() => updateAccess(home.paths, granting(ANN))), "access_corrupted");
    assert.deepEqual(Deno.readFileSync(home.paths.access), content);
  }
  Deno.removeSync(home.paths.access);
  Deno.mkdirSync(home.paths.access);
  assert.equal(await codeOf(() => readAccess(home.paths)), "access_corrupted");
});

Deno.test({
  name:
    "readAccess() throws access_permissions when others can write the file, and not when they can read it",
  ignore: !POSIX,
  async fn() {
    await using home = await temporaryHome();
    await updateAccess(home.paths, granting(ANN));
    for (const mode of [0o620, 0o602, 0o666]) {
      Deno.chmodSync(home.paths.access, mode);
      assert.equal(await codeOf(() => readAccess(home.paths)), "access_permissions");
      assert.equal(
        await codeOf(() => updateAccess(home.paths, granting(ANN))),
        "access_permissions",
      );
    }
    Deno.chmodSync(home.paths.access, 0o644);
    assert.equal((await readAccess(home.paths)).grants.length, 1);
  },
});

Deno.test("updateAccess() writes a private file with what the change gives", async () => {
  await using home = await temporaryHome();
  const access = await updateAccess(home.paths, granting(ANN));
  assert.deepEqual(await readAccess(home.paths), access);
  assert.equal(mayOpen(access, [], ANN, FILES, 0).allowed, true);
  if (POSIX) assert.equal((Deno.statSync(home.paths.access).mode ?? 0) & 0o7777, 0o600);
});

Deno.test("updateAccess() writes nothing when the change gives its argument back, or throws", async () => {
  await using home = await temporaryHome();
  await updateAccess(home.paths, (access) => access);
  await assert.rejects(
    updateAccess(home.paths, () => {
      throw new RangeError("no");
    }),
    RangeError,
  );
  await assert.rejects(Deno.stat(home.paths.access), Deno.errors.NotFound);
});

Deno.test("updateAccess() throws file_too_large and keeps the file when the change would outgrow it", async () => {
  await using home = await temporaryHome();
  await updateAccess(home.paths, granting(ANN));
  const many = (access: Access): Access => ({
    ...access,
    grants: Array.from({ length: 7000 }, () => access.grants).flat(),
  });
  assert.equal(await codeOf(() => updateAccess(home.paths, many)), "file_too_large");
  assert.equal((await readAccess(home.paths)).grants.length, 1);
});

Deno.test("updateAccess() loses nothing when twenty changes are made at once", async () => {
  await using home = await temporaryHome();
  const peers = Array.from({ length: 20 }, (_, at) => samplePeer(at + 1));
  await Promise.all(peers.map((peer) => updateAccess(home.paths, granting(peer))));
  assert.equal((await readAccess(home.paths)).grants.length, 20);
});

Deno.test("updateAccess() loses nothing when four processes make ten changes each", async () => {
  await using home = await temporaryHome();
  await using children = new AsyncDisposableStack();
  const writers = [0, 1, 2, 3].map((number) =>
    children.use(new Child("access_writer.ts", [home.paths.home, String(10 * number), "10"]))
  );
  await Promise.all(writers.map((writer) => writer.line()));
  await Promise.all(writers.map((writer) => writer.go()));
  for (const writer of writers) assert.equal(await writer.line(), "done");
  const { grants, revocations } = await readAccess(home.paths);
  assert.equal(grants.length, 20);
  assert.equal(revocations.length, 20);
});

Deno.test("updateAccess() leaves a whole file and no lock behind when its process is killed in the middle", async () => {
  await using home = await temporaryHome();
  for (let run = 0; run < 3; run++) {
    await using writer = new Child("access_writer.ts", [home.paths.home, "0", "1000000"]);
    await writer.line();
    await writer.go();
    // Its third change is on disk, the next are on their way.
    for (let change = 0; change < 3; change++) assert.equal(await writer.line(), "changed");
    await writer.kill();
    const { grants, revocations } = await readAccess(home.paths);
    assert.ok(grants.length + revocations.length >= 3);
    await updateAccess(home.paths, granting(ANN));
  }
});

/** A watch whose changes and complaints can be awaited in turn. */
function watched(paths: HomePaths, signal?: AbortSignal) {
  const events: string[] = [];
  let wake = () => {};
  const push = (event: string) => {
    events.push(event);
    wake();
  };
  const watch = watchAccess(paths, {
    onChange: ({ grants, revocations }) => push(`${grants.length} ${revocations.length}`),
    log: createLog({ write: (line) => push(line), level: "info", json: false, now: () => 0 }),
    ...(signal === undefined ? {} : { signal }),
  });
  const next = async (): Promise<string> => {
    while (events.length === 0) await new Promise<void>((resolve) => wake = resolve);
    return events.shift() ?? "";
  };
  return {
    watch,
    next,
    events,
    [Symbol.asyncDispose]: () => watch[Symbol.asyncDispose](),
  };
}

Deno.test("watchAccess() tells of the file's first appearance and of each replacement", async () => {
  await using home = await temporaryHome();
  await using access = watched(home.paths);
  assert.deepEqual(access.watch.current, NO_ACCESS);
  await updateAccess(home.paths, granting(ANN));
  assert.equal(await access.next(), "1 0");
  await updateAccess(home.paths, revoking(ANN));
  assert.equal(await access.next(), "0 1");
  assert.equal(mayOpen(access.watch.current, [], ANN, FILES, 0).allowed, false);
});

Deno.test("watchAccess() tells of a change that an editor makes in place", async () => {
  await using home = await temporaryHome();
  await updateAccess(home.paths, granting(ANN));
  await using access = watched(home.paths);
  assert.equal(access.watch.current.grants.length, 1);
  // One write of the whole text at once: what is seen is the old text, none, or the new.
  Deno.writeTextFileSync(home.paths.access, serialiseAccess(revoking(ANN)(NO_ACCESS)));
  let seen = await access.next();
  while (seen !== "0 1") {
    assert.match(seen, /access\.json is not used/);
    seen = await access.next();
  }
});

Deno.test("watchAccess() keeps the last good file, and says so once, when the new one is damaged", async () => {
  await using home = await temporaryHome();
  await updateAccess(home.paths, granting(ANN));
  await using access = watched(home.paths);
  await writeFileAtomic(home.paths.access, utf8("{"));
  assert.equal(
    await access.next(),
    "talos: error: access.json is not used, the last good one stays in force " +
      `reason="Cannot read ${home.paths.access}: a member name is missing at line 1, column 2"`,
  );
  assert.equal(access.watch.current.grants.length, 1);
  await writeFileAtomic(home.paths.access, utf8(serialiseAccess(revoking(ANN)(NO_ACCESS))));
  assert.equal(await access.next(), "0 1");
});

Deno.test({
  name: "watchAccess() keeps the last good file when others can write the new one",
  ignore: !POSIX,
  async fn() {
    await using home = await temporaryHome();
    await updateAccess(home.paths, revoking(ANN));
    await using access = watched(home.paths);
    Deno.chmodSync(home.paths.access, 0o666);
    assert.match(await access.next(), /others can write it \(mode 0666\)/);
    assert.equal(access.watch.current.revocations.length, 1);
  },
});

Deno.test("watchAccess() drops the grants and keeps the revocations when the file is removed", async () => {
  await using home = await temporaryHome();
  await updateAccess(home.paths, revoking(ANN));
  await updateAccess(home.paths, granting(samplePeer(2)));
  await using access = watched(home.paths);
  Deno.removeSync(home.paths.access);
  assert.match(await access.next(), /access\.json was removed: .* revocations_kept=1/);
  assert.equal(await access.next(), "0 1");
});

Deno.test({
  name:
    "AccessWatch.lost tells that the home was moved away, and a copy in its place changes nothing",
  ignore: Deno.build.os !== "linux", // what is told of a directory that moves differs
  async fn() {
    await using home = await temporaryHome();
    const { home: path, access: file } = home.paths;
    await updateAccess(home.paths, granting(ANN));
    await using access = watched(home.paths);
    Deno.renameSync(path, `${path}.old`);
    try {
      Deno.mkdirSync(path);
      Deno.copyFileSync(`${path}.old/access.json`, file);
      const error = await access.watch.lost;
      assert.equal(error.code, "access_unwatchable");
      assert.equal(
        error.message,
        `Cannot serve without news of revocations: changes of ${file} are no longer noticed, ` +
          "since the home was moved or removed",
      );
    } finally {
      Deno.removeSync(`${path}.old`, { recursive: true });
    }
  },
});

Deno.test("AccessWatch.lost waits for ever when the watch is disposed of", async () => {
  await using home = await temporaryHome();
  const access = watched(home.paths);
  let lost = false;
  void access.watch.lost.then(() => lost = true);
  await access[Symbol.asyncDispose]();
  await updateAccess(home.paths, granting(ANN));
  assert.equal(lost, false);
});

Deno.test("AccessWatch.refresh() puts a revocation into force before anybody was told of it", async () => {
  await using home = await temporaryHome();
  await updateAccess(home.paths, granting(ANN));
  await using access = watched(home.paths);
  Deno.writeTextFileSync(home.paths.access, serialiseAccess(revoking(ANN)(NO_ACCESS)));
  access.watch.refresh(); // no turn of the event loop in between
  assert.equal(mayOpen(access.watch.current, [], ANN, FILES, 0).allowed, false);
  assert.deepEqual(access.events, ["0 1"]);
  access.watch.refresh();
  assert.deepEqual(access.events, ["0 1"]);
});

Deno.test("AccessWatch.refresh() reads a damaged file once, and keeps the last good one", async () => {
  await using home = await temporaryHome();
  await updateAccess(home.paths, revoking(ANN));
  await using access = watched(home.paths);
  Deno.writeTextFileSync(home.paths.access, "{");
  access.watch.refresh();
  access.watch.refresh();
  assert.equal(access.events.length, 1);
  assert.match(
    access.events[0] ?? "",
    /access\.json is not used, the last good one stays in force/,
  );
  assert.equal(access.watch.current.revocations.length, 1);
});

Deno.test("watchAccess() throws access_corrupted at the start when the file is damaged", async () => {
  await using home = await temporaryHome();
  Deno.writeTextFileSync(home.paths.access, "{}");
  const options = { onChange: () => {}, log: SILENT };
  assert.equal(await codeOf(() => watchAccess(home.paths, options)), "access_corrupted");
});

Deno.test("watchAccess() throws access_unwatchable when the home is missing", async () => {
  await using home = await temporaryHome();
  const paths = { home: `${home.paths.home}/no`, access: `${home.paths.home}/no/access.json` };
  const options = { onChange: () => {}, log: SILENT };
  assert.equal(await codeOf(() => watchAccess(paths, options)), "access_unwatchable");
});

Deno.test("watchAccess() ends when its signal aborts, and may be disposed of twice", async () => {
  await using home = await temporaryHome();
  const controller = new AbortController();
  await using access = watched(home.paths, controller.signal);
  controller.abort();
  await access.watch[Symbol.asyncDispose]();
  await updateAccess(home.paths, granting(ANN));
  assert.deepEqual(access.events, []);
  assert.deepEqual(access.watch.current, NO_ACCESS);
});

Deno.test({
  name: "watchAccess() holds nothing open when its signal aborted before",
  sanitizeOps: true,
  sanitizeResources: true,
  async fn() {
    await using home = await temporaryHome();
    const options = { onChange: () => {}, log: SILENT, signal: AbortSignal.abort() };
    // Not disposed of: what is left open fails this test.
    assert.deepEqual(watchAccess(home.paths, options).current, NO_ACCESS);
  },
});
