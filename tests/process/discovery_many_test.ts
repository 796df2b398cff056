/** Many processes of one home at once, and what a killed one leaves of the database. */

import assert from "node:assert/strict";
import { Database } from "../../lib/identity/database.ts";
import { homePaths } from "../../lib/identity/home.ts";
import { DiscoveryScene, works } from "./discovery_scene.ts";
import { Sandbox, soon } from "./mcp_tunnel.ts";

Deno.test("five mcp-connect, two mcp-serve and other commands share one home at once", async () => {
  await using scene = await DiscoveryScene.make();
  const shared = await scene.party("shared");
  const distant = await scene.party("distant");
  // A peer may have four children of one service.
  const services = ["one", "two"];
  await Promise.all(services.flatMap((service) => [
    scene.host(distant, ["--authorized-peer", shared.id, "--service", service]),
    scene.host(shared, ["--authorized-peer", distant.id, "--service", service]),
  ]));
  await scene.json(shared, "contacts", "add", "distant", distant.id);

  const agents = [1, 2, 3, 4, 5].map((i) => scene.agent(shared, `distant/${services[i % 2]}`));
  const callers = services.map((service) => scene.agent(distant, `${shared.id}/${service}`));
  const commands = [
    scene.json(shared, "status"),
    scene.json(shared, "peers"),
    scene.json(shared, "contacts", "add", "myself", shared.id),
    scene.json(shared, "access", "grant", distant.id),
    scene.json(shared, "register"),
  ];
  await Promise.all([...agents, ...callers].map(works));
  await Promise.all(commands);

  const { processes } = await scene.json(shared, "status");
  assert.deepEqual(
    processes.map(({ services: [service], sessions, registration }: {
      readonly services: readonly string[];
      readonly sessions: readonly unknown[];
      readonly registration: { readonly state: string };
    }) => [service, sessions.length, registration.state]),
    [["one", 1, "published"], ["two", 1, "published"]],
  );
  for (const agent of [...agents, ...callers]) {
    assert.equal((await agent.finish()).code, 0);
    assert.doesNotMatch(agent.stderr, /database/);
  }
});

const WRITERS = 8;
const LEAST_WRITTEN = 25;

Deno.test("eight writers of talos.db lose nothing that was committed when they are killed, and never meet a lock", async () => {
  await using sandbox = await Sandbox.make();
  const { home, id } = await sandbox.party("writer");
  const writers = Array.from({ length: WRITERS }, (_, i) => new Writer(home, id, `writer${i}`));
  // The first to have written enough is killed first; each dies in the middle of its next one.
  await soon(
    Promise.all(writers.map((writer) => writer.killedAfter(LEAST_WRITTEN))),
    "the writers",
  );
  using database = new Database(homePaths(Deno.build.os, () => undefined, home), id);
  for (const { name, committed, errors } of writers) {
    assert.equal(errors, "", name);
    assert.ok(committed >= LEAST_WRITTEN, `${name} wrote ${committed}`);
    const stored = Number(database.setting(name));
    // What was told is there; one more may be, whose telling was cut off.
    assert.ok(stored === committed || stored === committed + 1, `${name}: ${committed}, ${stored}`);
    assert.equal(database.setting(`${name}/0`), "0");
    assert.equal(database.setting(`${name}/${committed}`), String(committed));
  }
  assert.deepEqual(database.rows("PRAGMA integrity_check").map(Object.values), [["ok"]]);
});

/** A process that counts in the database and tells each number that was committed. */
class Writer {
  readonly name: string;
  /** The last number that it told. */
  committed = -1;
  /** What it printed on stderr. */
  errors = "";
  readonly #process: Deno.ChildProcess;

  constructor(home: string, owner: string, name: string) {
    this.name = name;
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--allow-all", "--no-check"],
        new URL("fixtures/database_writer.ts", import.meta.url).pathname,
        ...[home, owner, name],
      ],
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  }

  /** Kills it once it has told `least` numbers; resolves when everything that it told was read. */
  async killedAfter(least: number): Promise<void> {
    const reading = this.#readErrors();
    let rest = "";
    for await (const text of this.#process.stdout.pipeThrough(new TextDecoderStream())) {
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      const before = this.committed;
      for (const line of lines) {
        assert.equal(Number(line), this.committed + 1);
        this.committed++;
      }
      if (before < least && this.committed >= least) this.#process.kill("SIGKILL");
    }
    await reading;
    const { signal } = await this.#process.status;
    assert.equal(signal, "SIGKILL", this.errors);
  }

  async #readErrors(): Promise<void> {
    for await (const text of this.#process.stderr.pipeThrough(new TextDecoderStream())) {
      this.errors += text;
    }
  }
}
