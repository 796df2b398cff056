import assert from "node:assert/strict";

import { parsePeerId } from "../../lib/identity/peer_id.ts";
import {
  type Caller,
  Launcher,
  type LaunchLimits,
  type LaunchPlan,
  type LaunchRewriter,
} from "../../lib/mcp/launcher.ts";
import { McpError } from "../../lib/mcp/errors.ts";
import { systemClock } from "../../lib/clock.ts";

const CALLER: Caller = {
  peer: parsePeerId("z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"),
  service: "mcp/default",
};
const PLAN: LaunchPlan = { argv: ["/bin/server", "--flag"], env: { A: "1" } };

function wrapping(...words: readonly [string, ...string[]]): LaunchRewriter {
  return (plan) => ({ ...plan, argv: [...words, ...plan.argv] });
}

Deno.test("Launcher.plan() applies its rewriters in order, the last one outermost", () => {
  const launcher = new Launcher("linux", [wrapping("sandbox", "--"), wrapping("reaper")]);
  assert.deepEqual(launcher.plan(PLAN, {}, CALLER).argv, [
    "reaper",
    "sandbox",
    "--",
    "/bin/server",
    "--flag",
  ]);
  assert.deepEqual(new Launcher("linux").plan(PLAN, {}, CALLER), PLAN);
});

Deno.test("LaunchRewriter is told the limits and the caller, and may refuse", () => {
  const limits: LaunchLimits = { read: ["/data"] };
  const seen: unknown[] = [];
  const launcher = new Launcher("linux", [
    (plan, given, caller) => {
      seen.push(given, caller);
      return { ...plan, env: { ...plan.env, PEER: caller.peer } };
    },
    () => {
      throw new McpError("spawn_failed", "Cannot enforce --allow-read here");
    },
  ]);
  assert.throws(() => launcher.launch(PLAN, limits, CALLER), { code: "spawn_failed" });
  assert.deepEqual(seen, [limits, CALLER]);
});

Deno.test("Launcher.launch() spawns what the rewriters made of the plan", async () => {
  const rewriter: LaunchRewriter = (plan) => ({
    ...plan,
    argv: [Deno.execPath(), "eval", "Deno.exit(Deno.env.get('A') === '1' ? 7 : 8)"],
  });
  const child = new Launcher(Deno.build.os, [rewriter]).launch(PLAN, {}, CALLER);
  assert.deepEqual(await child.exited, { code: 7, signal: null });
  await child.shutDown(systemClock);
});

Deno.test("Launcher.launch() throws when the program or its directory is not there", () => {
  const launcher = new Launcher(Deno.build.os);
  assert.throws(() => launcher.launch({ argv: ["/no/such/program"], env: {} }, {}, CALLER), {
    code: "command_not_found",
    message: "Cannot run /no/such/program: there is no such program",
  });
  const plan: LaunchPlan = { argv: [Deno.execPath()], env: {}, cwd: "/no/such/directory" };
  assert.throws(() => launcher.launch(plan, {}, CALLER), {
    code: "command_not_found",
    message:
      `Cannot run ${Deno.execPath()}: there is no such program, or no directory /no/such/directory`,
  });
});
