import assert from "node:assert/strict";

import { createLog } from "../../../lib/log.ts";
import { McpError } from "../../../lib/mcp/errors.ts";
import type { Policy } from "../../../lib/mcp/policy/policy.ts";
import { type PolicyWatch, readPolicy, watchPolicy } from "../../../lib/mcp/policy/policy_file.ts";
import { soon } from "../../process/mcp_tunnel.ts";

const text = (...names: readonly string[]) =>
  JSON.stringify({ version: 1, rules: names.map((name) => ({ name, peer: "*" })) });
const labels = ({ rules }: Policy) => rules.map(({ label }) => label);

/** A watch over a file in a folder of its own, and what came of it. */
class Watched implements AsyncDisposable {
  readonly folder = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "talos-test-" }));
  readonly path = `${this.folder}/policy.json`;
  readonly said: string[] = [];
  readonly #events: string[] = [];
  #arrival = Promise.withResolvers<void>();
  watch!: PolicyWatch;

  begin(): this {
    const note = (event: string) => {
      this.#events.push(event);
      this.#arrival.resolve();
      this.#arrival = Promise.withResolvers();
    };
    const write = (line: string) => {
      this.said.push(line);
      if (line.includes("error:")) note(line);
    };
    this.watch = watchPolicy(this.path, {
      onChange: (policy) => note(labels(policy).join()),
      log: createLog({ write, level: "info", json: false, now: () => 0 }),
    });
    return this;
  }

  async next(): Promise<string> {
    while (this.#events.length === 0) await soon(this.#arrival.promise, "news of the policy");
    return this.#events.shift()!;
  }

  write(content: string): void {
    Deno.writeTextFileSync(this.path, content, { mode: 0o600 });
  }

  replace(content: string): void {
    Deno.writeTextFileSync(`${this.path}.new`, content, { mode: 0o600 });
    Deno.renameSync(`${this.path}.new`, this.path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.watch[Symbol.asyncDispose]();
    Deno.removeSync(this.folder, { recursive: true });
  }
}

function watched(content = text("a")): Watched {
  const made = new Watched();
  made.write(content);
  return made.begin();
}

Deno.test("watchPolicy() puts a file into force that is replaced by renaming", async () => {
  await using file = watched();
  assert.deepEqual(labels(file.watch.current), ["a"]);
  file.replace(text("b", "c"));
  assert.equal(await file.next(), "b,c");
  assert.deepEqual(labels(file.watch.current), ["b", "c"]);
});

Deno.test("watchPolicy() keeps the last good policy when the file is broken or gone, and says so once", async () => {
  await using file = watched();
  file.replace('{"version":1,\n"rules":[}');
  assert.match(await file.next(), /the last good one stays in force.*line 2, column 10/);
  assert.deepEqual(labels(file.watch.current), ["a"]);
  Deno.removeSync(file.path);
  assert.match(await file.next(), /there is no such file/);
  assert.deepEqual(labels(file.watch.current), ["a"]);
  file.replace(text("b"));
  assert.equal(await file.next(), "b");
});

Deno.test("watchPolicy() follows a symbolic link to wherever it leads", async () => {
  const there = Deno.realPathSync(Deno.makeTempDirSync({ prefix: "talos-test-" }));
  try {
    for (const name of ["one", "two"]) {
      Deno.mkdirSync(`${there}/${name}`);
      Deno.writeTextFileSync(`${there}/${name}/p`, text(name), { mode: 0o600 });
    }
    await using file = new Watched();
    Deno.symlinkSync(`${there}/one/p`, file.path);
    file.begin();
    Deno.writeTextFileSync(`${there}/one/p`, text("one", "more"));
    while (await file.next() !== "one,more");
    Deno.symlinkSync(`${there}/two/p`, `${file.path}.new`);
    Deno.renameSync(`${file.path}.new`, file.path);
    while (await file.next() !== "two");
    Deno.writeTextFileSync(`${there}/two/p`, text("two", "more"));
    while (await file.next() !== "two,more");
  } finally {
    Deno.removeSync(there, { recursive: true });
  }
});

Deno.test("watchPolicy() tells when it sees nothing any more", async () => {
  await using file = watched();
  Deno.removeSync(file.folder, { recursive: true });
  const lost = await soon(file.watch.lost, "the loss of the watch");
  assert.equal(lost.code, "policy_unwatchable");
  Deno.mkdirSync(file.folder);
});

Deno.test("PolicyWatch.refresh() puts a file into force before the system tells of it", async () => {
  await using file = watched();
  file.replace(text("b"));
  file.watch.refresh();
  assert.deepEqual(labels(file.watch.current), ["b"]);
});

Deno.test("readPolicy() refuses a file that is not there, that others can write, that is none", async () => {
  await using file = watched();
  const refusal = (path: string) => {
    try {
      readPolicy(path);
    } catch (error) {
      assert.ok(error instanceof McpError);
      return [error.code, error.message];
    }
    assert.fail("accepted");
  };
  assert.deepEqual(refusal(`${file.folder}/x`), [
    "policy_invalid",
    `Cannot use ${file.folder}/x: there is no such file`,
  ]);
  assert.equal(refusal(file.folder)[0], "policy_invalid");
  Deno.writeFileSync(file.path, Uint8Array.of(0xff));
  assert.match(refusal(file.path)[1]!, /not UTF-8/);
  if (Deno.build.os === "windows") return;
  Deno.chmodSync(file.path, 0o622);
  assert.deepEqual(refusal(file.path), [
    "policy_permissions",
    `Cannot trust ${file.path}: others can write it (mode 0622)`,
  ]);
});
