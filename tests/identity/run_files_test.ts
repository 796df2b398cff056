/** One process per service of a home, and what the others can learn about it. */

import assert from "node:assert/strict";
import { withFileLock } from "../../lib/identity/file_lock.ts";
import type { HomePaths } from "../../lib/identity/home.ts";
import { MESSAGES_SERVICE, parseServiceName, type ServiceName } from "../../lib/identity/names.ts";
import {
  claimService,
  readRunFiles,
  runFileName,
  type ServiceClaim,
} from "../../lib/identity/run_files.ts";
import { Child } from "./child.ts";
import { codeOf, messageFrom, temporaryHome } from "./temporary_home.ts";

const POSIX = Deno.build.os !== "windows";
const DEFAULT = parseServiceName("mcp/default");
const FILES = parseServiceName("mcp/files");

function claim(paths: HomePaths, services: readonly ServiceName[], instance = "one"): ServiceClaim {
  return claimService(paths, services, { pid: Deno.pid, instance });
}

function names(paths: HomePaths): string[] {
  return [...Deno.readDirSync(paths.run)].map(({ name }) => name).sort();
}

/** Starts a claimant and returns it with its first answer. */
async function claimant(home: string, services: string, ...more: string[]) {
  const child = new Child("service_claimant.ts", [home, services, ...more]);
  await child.line();
  await child.go();
  return child;
}

Deno.test("runFileName() gives each service its own name", () => {
  assert.equal(runFileName(MESSAGES_SERVICE), "messages");
  assert.equal(runFileName(DEFAULT), "mcp-default");
  assert.equal(runFileName(parseServiceName("mcp/mcp-default")), "mcp-mcp-default");
});

Deno.test("readRunFiles() gives nothing, and makes nothing, when nothing ever ran", async () => {
  await using home = await temporaryHome();
  assert.deepEqual(readRunFiles(home.paths), []);
  assert.deepEqual([...Deno.readDirSync(home.paths.home)], []);
});

Deno.test("claimService() is seen by readRunFiles(), with port 0 until it is published", async () => {
  await using home = await temporaryHome();
  using held = claim(home.paths, [MESSAGES_SERVICE]);
  const facts = { pid: Deno.pid, instance: "one", port: 0, services: ["messages"] };
  assert.deepEqual(readRunFiles(home.paths), [facts]);
  held.publish({ port: 8766 });
  assert.deepEqual(readRunFiles(home.paths), [{ ...facts, port: 8766 }]);
  held.publish({ port: 8766, host: "127.0.0.1" });
  assert.deepEqual(readRunFiles(home.paths), [{ ...facts, port: 8766, host: "127.0.0.1" }]);
  held.publish({ port: 8766 });
  assert.equal(
    Deno.readTextFileSync(`${home.paths.run}/messages.json`),
    `{"pid":${Deno.pid},"instance":"one","port":8766,"services":["messages"]}\n`,
  );
  if (POSIX) {
    assert.equal((Deno.statSync(home.paths.run).mode ?? 0) & 0o7777, 0o700);
    for (const name of names(home.paths)) {
      assert.equal((Deno.statSync(`${home.paths.run}/${name}`).mode ?? 0) & 0o7777, 0o600);
    }
  }
});

Deno.test("claimService() throws service_claimed with the pid when the service is taken, also in one process", async () => {
  await using home = await temporaryHome();
  using _held = claim(home.paths, [DEFAULT]);
  assert.equal(await codeOf(() => claim(home.paths, [DEFAULT], "two")), "service_claimed");
  assert.equal(
    await messageFrom(() => claim(home.paths, [DEFAULT], "two")),
    `Cannot run "default": process ${Deno.pid} of this home runs it`,
  );
  using _other = claim(home.paths, [FILES], "two");
  assert.deepEqual(readRunFiles(home.paths).map(({ instance }) => instance), ["one", "two"]);
});

Deno.test("claimService() claims all services or none", async () => {
  await using home = await temporaryHome();
  using _held = claim(home.paths, [FILES]);
  assert.equal(await codeOf(() => claim(home.paths, [DEFAULT, FILES], "two")), "service_claimed");
  assert.equal(await codeOf(() => claim(home.paths, [DEFAULT, DEFAULT], "two")), "service_claimed");
  using _after = claim(home.paths, [DEFAULT], "three");
  assert.deepEqual(readRunFiles(home.paths).map(({ instance }) => instance), ["three", "one"]);
});

Deno.test("readRunFiles() gives a process with several services once", async () => {
  await using home = await temporaryHome();
  using held = claim(home.paths, [FILES, DEFAULT]);
  held.publish({ port: 1 });
  assert.deepEqual(readRunFiles(home.paths), [
    { pid: Deno.pid, instance: "one", port: 1, services: ["mcp/files", "mcp/default"] },
  ]);
});

Deno.test("claimService() leaves nothing behind when it is disposed of, once or twice", async () => {
  await using home = await temporaryHome();
  const held = claim(home.paths, [FILES, DEFAULT]);
  held[Symbol.dispose]();
  held[Symbol.dispose]();
  assert.deepEqual(names(home.paths), [".lock"]);
  assert.throws(() => held.publish({ port: 1 }), TypeError);
  claim(home.paths, [FILES])[Symbol.dispose]();
  assert.deepEqual(readRunFiles(home.paths), []);
});

Deno.test("claimService() can be disposed of after the home was removed", async () => {
  const home = await temporaryHome();
  const held = claim(home.paths, [FILES]);
  await home[Symbol.asyncDispose]();
  held[Symbol.dispose]();
});

Deno.test("claimService() and publish() throw TypeError when the facts are none", async () => {
  await using home = await temporaryHome();
  for (
    const facts of [{ pid: 0, instance: "i" }, { pid: 1.5, instance: "i" }, {
      pid: 1,
      instance: "",
    }, { pid: 1, instance: "a b" }]
  ) {
    assert.throws(() => claimService(home.paths, [FILES], facts), TypeError);
  }
  using held = claim(home.paths, [FILES]);
  for (const port of [0, -1, 65_536, 1.5, NaN]) {
    assert.throws(() => held.publish({ port }), TypeError);
  }
});

Deno.test("readRunFiles() removes what a dead process left, damaged or not, and leaves other files alone", async () => {
  await using home = await temporaryHome();
  Deno.mkdirSync(home.paths.run);
  const facts = `{"pid":${Deno.pid},"instance":"i","port":1,"services":["messages"]}`;
  for (
    const [name, text] of [
      ["messages.json", facts],
      ["messages.lock", ""],
      ["mcp-default.json", "{damaged"],
      ["mcp-files.lock", ""],
      ["notes.json", facts],
      ["mcp-UPPER.json", facts],
      ["mcp-.json", facts],
    ] as const
  ) {
    Deno.writeTextFileSync(`${home.paths.run}/${name}`, text);
  }
  assert.deepEqual(readRunFiles(home.paths), []);
  assert.deepEqual(names(home.paths), [".lock", "mcp-.json", "mcp-UPPER.json", "notes.json"]);
});

Deno.test("claimService() in another process is seen with its pid and a port that answers", async () => {
  await using home = await temporaryHome();
  await using child = await claimant(home.paths.home, "mcp/default,messages");
  const port = Number(/^claimed (\d+)$/.exec(await child.line())?.[1]);
  const [found, ...more] = readRunFiles(home.paths);
  assert.deepEqual(more, []);
  assert.equal(found?.pid, child.pid);
  assert.equal(found?.port, port);
  assert.deepEqual(found?.services, ["mcp/default", "messages"]);
  const connection = await Deno.connect({ hostname: "127.0.0.1", port });
  connection.close();
  assert.equal(
    await messageFrom(() => claim(home.paths, [MESSAGES_SERVICE])),
    `Cannot run "messages": process ${child.pid} of this home runs it`,
  );
});

Deno.test("claimService() lets the next process in at once after kill -9", async () => {
  await using home = await temporaryHome();
  await using first = await claimant(home.paths.home, "mcp/default");
  assert.match(await first.line(), /^claimed /);
  await first.kill();
  // Before anybody looked: the dead process's files are there, its lock is not held.
  assert.deepEqual(names(home.paths), [".lock", "mcp-default.json", "mcp-default.lock"]);
  await using second = await claimant(home.paths.home, "mcp/default");
  assert.match(await second.line(), /^claimed /);
  assert.deepEqual(readRunFiles(home.paths).map(({ pid }) => pid), [second.pid]);
  await second.kill();
  assert.deepEqual(readRunFiles(home.paths), []);
  assert.deepEqual(names(home.paths), [".lock"]);
});

Deno.test({
  name: "claimService() is not held by a child of the process that was killed",
  ignore: !POSIX,
  async fn() {
    await using home = await temporaryHome();
    await using first = await claimant(home.paths.home, "mcp/default", "orphan");
    assert.match(await first.line(), /^claimed /);
    const orphan = Number(await first.line());
    try {
      await first.kill();
      // It still lives: this throws if it does not.
      Deno.kill(orphan, 0);
      assert.deepEqual(readRunFiles(home.paths), []);
      claim(home.paths, [DEFAULT])[Symbol.dispose]();
    } finally {
      Deno.kill(orphan, "SIGKILL");
    }
  },
});

Deno.test("claimService() names the claimant that has the lock but did not write its file yet", async () => {
  await using home = await temporaryHome();
  await using elsewhere = await temporaryHome();
  claim(home.paths, [DEFAULT])[Symbol.dispose]();
  using held = Deno.openSync(`${home.paths.run}/mcp-default.lock`, { create: true, write: true });
  // A slow claimant: it has both locks while the other comes.
  const { promise, resolve } = Promise.withResolvers<void>();
  const slow = withFileLock(home.paths.runLock, async () => {
    held.lockSync(true);
    await promise;
    const facts = '{"pid":4242,"instance":"slow","port":0,"services":["mcp/default"]}';
    Deno.writeTextFileSync(`${home.paths.run}/mcp-default.json`, facts);
  });
  await using second = await claimant(home.paths.home, "mcp/default");
  // By the time that this one has claimed, the other has tried to.
  await using third = await claimant(elsewhere.paths.home, "mcp/default");
  assert.match(await third.line(), /^claimed /);
  resolve();
  await slow;
  assert.equal(await second.line(), 'Cannot run "default": process 4242 of this home runs it');
});

Deno.test("claimService() lets exactly one of eight processes win, and the others name it", async () => {
  await using home = await temporaryHome();
  await using children = new AsyncDisposableStack();
  const racers = Array.from(
    { length: 8 },
    () => children.use(new Child("service_claimant.ts", [home.paths.home, "mcp/default"])),
  );
  await Promise.all(racers.map((racer) => racer.line()));
  await Promise.all(racers.map((racer) => racer.go()));
  const answers = await Promise.all(racers.map((racer) => racer.line()));
  const winners = racers.filter((_, at) => /^claimed \d+$/.test(answers[at] ?? ""));
  assert.equal(winners.length, 1);
  const refusal = `Cannot run "default": process ${winners[0]?.pid} of this home runs it`;
  assert.deepEqual(answers.filter((answer) => answer === refusal).length, 7);
  assert.deepEqual(readRunFiles(home.paths).map(({ pid }) => pid), [winners[0]?.pid]);
});
