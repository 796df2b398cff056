import assert from "node:assert/strict";

import { utf8 } from "../../lib/bytes.ts";
import { systemClock } from "../../lib/clock.ts";
import { ChildProcess } from "../../lib/mcp/child_process.ts";
import { FakeClock } from "../session/fake_clock.ts";
import { isSettled } from "../session/peers.ts";
import { gone, lives } from "../process/mcp_tunnel.ts";
import { puppetPlan, TestChild } from "./puppet.ts";

/** It has no process groups. */
const ON_WINDOWS = Deno.build.os === "windows";

/** Short, because nothing but time passes between the steps of a shutdown. */
const GRACE_MS = 150;

async function temporaryFile(): Promise<AsyncDisposable & { path: string }> {
  const path = await Deno.makeTempFile();
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path) };
}

Deno.test("ChildProcess.writeLine() keeps lines whole when long and short ones are written at once", async () => {
  await using test = TestChild.puppet();
  const { child } = test;
  const long = (id: number) =>
    utf8(
      `{"jsonrpc":"2.0","id":${id},"method":"puppet/size","params":{"x":"${"x".repeat(300_000)}"}}`,
    );
  const short = (id: number) => utf8(`{"jsonrpc":"2.0","id":${id},"method":"puppet/size"}`);
  const written = [child.writeLine(long(1)), child.writeLine(short(2)), child.writeLine(long(3))];
  const replies = [await test.line(), await test.line(), await test.line()];
  assert.deepEqual(await Promise.all(written), [true, true, true]);
  assert.deepEqual(replies.map((line) => JSON.parse(line ?? "null")), [
    { jsonrpc: "2.0", id: 1, result: { bytes: long(1).length } },
    { jsonrpc: "2.0", id: 2, result: { bytes: short(2).length } },
    { jsonrpc: "2.0", id: 3, result: { bytes: long(3).length } },
  ]);
});

Deno.test("ChildProcess.writeLine() returns false when the child no longer reads", async () => {
  await using test = TestChild.puppet();
  const { child } = test;
  assert.equal(await test.send(1, "puppet/exit", { code: 4 }), true);
  assert.deepEqual(await child.exited, { code: 4, signal: null });
  assert.equal(await child.writeLine(utf8("{}")), false);
  assert.equal(await child.writeLine(utf8("x".repeat(100_000))), false);
  await child.closeStdin();
  await child.closeStdin();
  assert.equal(await child.writeLine(utf8("{}")), false);
});

Deno.test("ChildProcess.forgetInput() keeps from the child what it has not been given yet", async () => {
  await using test = TestChild.puppet();
  const { child } = test;
  assert.deepEqual(await test.ask(1, "puppet/deaf"), {});
  const large = child.writeLine(new Uint8Array(300_000).fill(0x20)); // more than a pipe holds
  const next = child.writeLine(utf8("{}"));
  assert.equal(child.isBehind, false);
  const many = child.writeLine(new Uint8Array(1024 * 1024).fill(0x20));
  assert.equal(child.isBehind, true);
  assert.deepEqual(await Promise.all([large, next, many].map(isSettled)), [false, false, false]);
  child.forgetInput();
  const late = child.writeLine(utf8("{}"));
  const ending = child.shutDown(systemClock, GRACE_MS);
  assert.equal(await test.line(), null); // a pipe is not given up while somebody reads it at leisure
  await ending;
  assert.deepEqual(await Promise.all([large, next, many, late]), [false, false, false, false]);
});

Deno.test("ChildProcess hands on everything that the child printed before it ended", async () => {
  await using test = TestChild.puppet();
  await test.send(1, "puppet/fill", { bytes: 500_000 });
  await test.send(2, "puppet/exit", { code: 0, stderr: "last words\n" });
  assert.equal((await test.line())?.length, 500_000);
  assert.equal(await test.line(), null);
  assert.equal(await test.stderr, "last words\n");
});

Deno.test("ChildProcess.shutDown() closes stdin, and the child's last replies still come", async () => {
  await using test = TestChild.puppet();
  await test.send(1, "puppet/later");
  const ending = test.child.shutDown(systemClock, 20_000);
  assert.equal(await test.line(), '{"jsonrpc":"2.0","id":1,"result":{}}');
  assert.equal(await test.line(), null);
  assert.deepEqual(await ending, { code: 0, signal: null });
});

Deno.test("ChildProcess.shutDown() returns the same end when it is asked twice", async () => {
  await using test = TestChild.puppet();
  const first = test.child.shutDown(systemClock, 20_000);
  assert.equal(test.child.shutDown(systemClock, 20_000), first);
  while (await test.line() !== null);
  await first;
});

Deno.test({
  name: "ChildProcess.shutDown() sends SIGTERM when the child ignores the end of its stdin",
  ignore: ON_WINDOWS,
  async fn() {
    await using events = await temporaryFile();
    await using test = TestChild.puppet("--ignore-eof", "--events", events.path);
    await test.ask(1, "puppet/facts");
    const ending = test.child.shutDown(systemClock, GRACE_MS);
    while (await test.line() !== null);
    assert.deepEqual(await ending, { code: 143, signal: null });
    assert.equal(await Deno.readTextFile(events.path), "eof\nSIGTERM\n");
  },
});

Deno.test({
  name: "ChildProcess.shutDown() sends SIGKILL when the child ignores SIGTERM, too",
  ignore: ON_WINDOWS,
  async fn() {
    await using events = await temporaryFile();
    const flags = ["--ignore-eof", "--ignore-sigterm", "--events", events.path];
    await using test = TestChild.puppet(...flags);
    await test.ask(1, "puppet/facts");
    const started = performance.now();
    const ending = test.child.shutDown(systemClock, GRACE_MS);
    while (await test.line() !== null);
    assert.deepEqual(await ending, { code: 137, signal: "SIGKILL" });
    assert.equal(await Deno.readTextFile(events.path), "eof\nSIGTERM\n");
    assert.ok(performance.now() - started >= 2 * GRACE_MS);
  },
});

Deno.test({
  name: "ChildProcess.shutDown() ends what the child started, whether the child still runs or not",
  ignore: ON_WINDOWS,
  async fn() {
    for (const flags of [[], ["--ignore-eof", "--ignore-sigterm"]]) {
      await using test = TestChild.puppet(...flags);
      const { pid } = await test.ask(1, "puppet/spawn", { argv: ["sleep", "600"] });
      assert.ok(lives(pid));
      const ending = test.child.shutDown(systemClock, GRACE_MS);
      while (await test.line() !== null);
      await ending;
      await gone(pid, "the grandchild");
    }
  },
});

Deno.test({
  name: "ChildProcess.shutDown() ends what is left in the group when the child has died by itself",
  ignore: ON_WINDOWS,
  async fn() {
    await using test = TestChild.puppet();
    const { pid } = await test.ask(1, "puppet/spawn", { argv: ["sleep", "600"] });
    await test.send(2, "puppet/exit", { code: 1 });
    await test.child.exited;
    assert.ok(lives(pid));
    const ending = test.child.shutDown(systemClock, GRACE_MS);
    while (await test.line() !== null);
    await ending;
    await gone(pid, "the grandchild");
  },
});

Deno.test({
  name: "ChildProcess.shutDown() gives a pipe up when a process that left the group holds it open",
  ignore: ON_WINDOWS,
  async fn() {
    await using test = TestChild.puppet();
    const started = performance.now();
    const { pid } = await test.ask(1, "puppet/spawn", {
      argv: ["sleep", "600"],
      detached: true,
      inherit: true,
    });
    try {
      const ending = test.child.shutDown(systemClock, GRACE_MS);
      assert.equal(await test.line(), null);
      assert.deepEqual(await ending, { code: 0, signal: null });
      assert.ok(lives(pid), "it left the group: as far as the system allows");
      assert.ok(performance.now() - started >= 500, "what was under way had its time");
    } finally {
      Deno.kill(pid, "SIGKILL");
      await gone(pid, "the process that left");
    }
  },
});

Deno.test("ChildProcess.shutDown() gives up no pipe that is only read slowly", async () => {
  const child = new ChildProcess(puppetPlan(), Deno.build.os);
  const request = utf8('{"jsonrpc":"2.0","id":1,"method":"puppet/fill","params":{"bytes":100000}}');
  await child.writeLine(request);
  const chunks = child.stdout()[Symbol.asyncIterator]();
  let length = (await chunks.next()).value?.length ?? 0;
  assert.ok(length < 100_000, "more is to come");
  const clock = new FakeClock();
  const ending = child.shutDown(clock);
  await child.exited;
  const stderr = child.stderr()[Symbol.asyncIterator]().next();
  await stderr;
  for (let second = 0; second < 10; second++) await clock.advance(1_000);
  for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) {
    length += next.value.length;
  }
  assert.equal(length, 100_001);
  await ending;
});
