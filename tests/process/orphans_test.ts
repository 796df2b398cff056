import assert from "node:assert/strict";

import { whatIsLeft } from "../../scripts/soak/processes.ts";
import { startReady, TALOS } from "../../scripts/talos_process.ts";
import {
  fixture,
  gone,
  lives,
  puppetOf,
  RawAgent,
  REAPER,
  Sandbox,
  soon,
  type Tunnel,
  tunnel,
} from "./mcp_tunnel.ts";

/** Longer than a shutdown by force, which takes two graces of 2 s. */
const PATIENCE_MS = 15_000;

/** A process table that can be read, and a name for the tests that says why they are skipped. */
const LINUX_ONLY = { ignore: Deno.build.os !== "linux" };
const WITH_REAPER = { ignore: REAPER === null };
const WHY = REAPER === null ? " [skipped: no reaper works on this machine]" : "";

/** A tunnel to a deaf server that has started deaf grandchildren, all of which can be found again. */
interface Marked extends Tunnel {
  readonly marker: string;
  /** Starts an agent and its server's grandchildren; returns the processes of the server. */
  readonly family: () => Promise<{ agent: RawAgent; child: number; grandchildren: number[] }>;
}

async function marked(...args: readonly string[]): Promise<Marked> {
  const marker = `talos-test-${crypto.randomUUID()}`;
  const there = await tunnel({
    args: ["--env", `ORPHAN_MARKER=${marker}`, ...args],
    command: () => fixture("puppet_server", "--ignore-eof", "--ignore-sigterm"),
  });
  return {
    ...there,
    marker,
    async family() {
      const agent = RawAgent.start(there.agent, there.target);
      const { pid: child, here } = await puppetOf(agent);
      const grandchildren: number[] = [];
      // One stays in the group, one leaves it. A pipe that nobody writes to is a stdin without an end.
      for (const program of REAPER === null ? [[]] : [[], ["setsid"]]) {
        const argv = ["sh", "-c", 'trap "" TERM; exec "$@"', "sh", ...program, "sleep", "600"];
        const { pid } = (await agent.ask("spawn", "puppet/spawn", { argv })).result;
        grandchildren.push(here(pid));
      }
      assert.ok([child, ...grandchildren].every(lives));
      return { agent, child, grandchildren };
    },
  };
}

async function nothingLeft({ marker }: Marked): Promise<void> {
  const left = await whatIsLeft(marker, () => [], PATIENCE_MS);
  assert.deepEqual(left.map((pid) => Deno.readTextFileSync(`/proc/${pid}/cmdline`)), []);
}

Deno.test(
  "nothing is left of a deaf server and its children when mcp-connect is killed",
  LINUX_ONLY,
  async () => {
    await using there = await marked();
    const { agent } = await there.family();
    agent.signal("SIGKILL");
    await agent.finish();
    there.host.signal("SIGTERM"); // a session may wait for its agent to come back
    await soon(there.host.exited, "the end of mcp-serve");
    await nothingLeft(there);
  },
);

Deno.test(
  "nothing is left of a deaf server and its children when its agent is gone",
  LINUX_ONLY,
  async () => {
    await using there = await marked();
    const { agent } = await there.family();
    await agent.finish();
    await nothingLeft(there);
  },
);

Deno.test(
  "nothing is left of a server's children when the server is killed",
  LINUX_ONLY,
  async () => {
    await using there = await marked();
    const { agent, child, grandchildren } = await there.family();
    Deno.kill(child, "SIGKILL");
    for (const pid of grandchildren) await gone(pid, "a grandchild");
    await agent.finish();
    await nothingLeft(there);
  },
);

Deno.test(
  `nothing is left of deaf servers and their children when mcp-serve is killed${WHY}`,
  WITH_REAPER,
  async () => {
    await using there = await marked("--prewarm", "2");
    const first = await there.family();
    const second = await there.family();
    there.host.signal("SIGKILL");
    await there.host.exited;
    await nothingLeft(there);
    await first.agent.finish();
    await second.agent.finish();
  },
);

Deno.test(
  `a server under a reaper hears SIGTERM, and one that does not listen ends by it${WHY}`,
  WITH_REAPER,
  async () => {
    await using there = await tunnel({ command: () => ["sh", "-c", "sleep 600; exit 1"] });
    await using agent = RawAgent.start(there.agent, there.target);
    await agent.send({ id: 1, method: "ping" });
    await there.logged("session opened");
    await agent.finish();
    await there.logged('"exit":"SIGTERM"');
  },
);

Deno.test(
  `a server under a reaper finds itself in /proc, and only its own${WHY}`,
  WITH_REAPER,
  async () => {
    const facts = 'echo "$$ $(readlink /proc/self/exe | wc -l) $(ls -d /proc/[0-9]* | wc -l)" >&2';
    await using there = await tunnel({
      command: () => ["sh", "-c", `kill -0 $$ && test -d /proc/$$ && ${facts}; cat >/dev/null`],
    });
    await using agent = RawAgent.start(there.agent, there.target);
    await agent.send({ method: "notifications/x" });
    await there.logged("[mcp/default] 2 1 ");
    await agent.finish();
  },
);

/** Runs its arguments where nobody, root included, can make a PID namespace. */
const WITHOUT_NAMESPACES: readonly [string, ...string[]] = [
  "unshare",
  "--user",
  "--map-root-user",
  "sh",
  "-c",
  'echo 0 >/proc/sys/user/max_pid_namespaces && exec "$@"',
  "sh",
];

function canForbidNamespaces(): boolean {
  try {
    const [program, ...args] = WITHOUT_NAMESPACES;
    return new Deno.Command(program, { args: [...args, "true"], stderr: "null" }).outputSync()
      .success;
  } catch {
    return false; // there is no such program
  }
}

Deno.test(
  "mcp-serve says at its start that nothing ends the servers of one that is killed, where that is so",
  { ignore: !canForbidNamespaces() },
  async () => {
    await using sandbox = await Sandbox.make();
    const [hosting, agent] = [await sandbox.party("host"), await sandbox.party("agent")];
    const args = ["--json", "mcp-serve", "--port", "0", "--authorized-peer", agent.id, "--", "cat"];
    await using host = await startReady([
      ...WITHOUT_NAMESPACES,
      ...TALOS,
      "--home",
      hosting.home,
      ...args,
    ]);
    await soon(host.logged("if mcp-serve is killed outright"), "the line about it");
    assert.match(host.log(), /"cure":"install util-linux 2.36 or later/);
  },
);
