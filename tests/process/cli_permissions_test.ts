/** That commands run with the permissions that `talos permissions` prints, and give up what they can. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

import {
  type Finished,
  initHome,
  runTalosProcess,
  startHost,
  TALOS,
} from "../../scripts/talos_process.ts";

const POSIX = Deno.build.os !== "windows";
const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';

const PONG = '{"jsonrpc":"2.0","id":1,"result":{}}';

/** As little of an MCP server as a shell can be. */
const SERVER = [
  "sh",
  "-c",
  `while IFS= read -r line; do printf '%s\\n' "$line" | sed 's/"method":"ping"/"result":{}/'; done`,
];

/** A directory that is the user's, and goes when the test ends. */
async function userDirectory(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-permissions-" }));
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** Returns what `talos permissions` says, as a command that can be run here. */
async function permitted(home: string, ...args: string[]): Promise<[string, ...string[]]> {
  const { code, stdout, stderr } = await runTalosProcess(["--json", "permissions", ...args], {
    env: { TALOS_HOME: home },
  });
  assert.equal(code, 0, stderr);
  const [deno, run, ...flags]: string[] = JSON.parse(stdout).argv;
  assert.deepEqual([deno, run, flags[0]], ["deno", "run", "--no-prompt"]);
  return [Deno.execPath(), "run", "--no-check", ...flags];
}

/** Runs a command that was permitted, as it is, against the home. */
function runPermitted(
  command: [string, ...string[]],
  home: string,
  stdin = "",
): Promise<Finished> {
  return runTalosProcess([], { command, env: { TALOS_HOME: home }, stdin });
}

function isFlag(word: string): boolean {
  return word.startsWith("--allow-");
}

Deno.test({
  name: "init, status and mcp-connect run with what `talos permissions` prints, and not with less",
  ignore: !POSIX,
  fn: async () => {
    await using user = await userDirectory();
    const [hosting, agent] = [`${user.path}/hosting`, `${user.path}/agent`];

    const init = await permitted(agent, "init", "--name", "agent");
    for (const flag of init.filter(isFlag)) {
      const less = init.filter((word) => word !== flag) as [string, ...string[]];
      const failed = await runPermitted(less, agent);
      assert.equal(failed.code, 6, `${flag}: ${failed.stderr}`);
      assert.match(failed.stderr, /^hint: Deno keeps this process from it; .*talos permissions/m);
    }
    const made = await runPermitted(init, agent);
    assert.equal(made.code, 0, made.stderr);
    const peerId = /z6Mk\w{44}/.exec(made.stdout)?.[0] ?? assert.fail(made.stdout);

    const host = await initHome(hosting, "host");
    await using serving = await startHost(hosting, ["--authorized-peer", peerId, "--", ...SERVER]);

    const status = await runPermitted(await permitted(hosting, "status"), hosting);
    assert.equal(status.code, 0, status.stderr);
    assert.match(status.stdout, /process \d+, 0 sessions/);

    const target = `${host}@127.0.0.1:${serving.port}`;
    const connect = await permitted(agent, "mcp-connect", target);
    const connected = await runPermitted(connect, agent, `${PING}\n`);
    assert.deepEqual(connected, { code: 0, stdout: `${PONG}\n`, stderr: "" });
    // Writing is for a home whose wallet was exchanged by hand: its state is settled first.
    for (const flag of connect.filter(isFlag).filter((one) => !one.startsWith("--allow-write="))) {
      const less = connect.filter((word) => word !== flag) as [string, ...string[]];
      const failed = await runPermitted(less, agent, `${PING}\n`);
      assert.equal(failed.code, 6, `${flag}: ${failed.stderr}`);
      assert.equal(JSON.parse(failed.stdout).id, 1, "the agent is told");
    }
  },
});

Deno.test({
  name: "mcp-serve runs with what `talos permissions` prints",
  ignore: !POSIX,
  fn: async () => {
    await using user = await userDirectory();
    const [hosting, agent] = [`${user.path}/hosting`, `${user.path}/agent`];
    const [host, peerId] = [await initHome(hosting, "host"), await initHome(agent, "agent")];
    const [program, ...args] = await permitted(
      hosting,
      ...["mcp-serve", "--port", "0", "--authorized-peer", peerId, "--", ...SERVER],
    );
    const child = new Deno.Command(program, {
      args,
      env: { TALOS_HOME: hosting, NO_COLOR: "1" },
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const lines = child.stderr.pipeThrough(new TextDecoderStream());
    let said = "";
    for await (const text of lines.values({ preventCancel: true })) {
      said += text;
      if (/^next, /m.test(said)) break;
    }
    const port = /on port (\d+)$/m.exec(said)?.[1] ?? assert.fail(said);
    const { code, stdout, stderr } = await runTalosProcess(
      ["--home", agent, "mcp-connect", `${host}@127.0.0.1:${port}`],
      { stdin: `${PING}\n` },
    );
    assert.deepEqual({ code, stdout, stderr }, { code: 0, stdout: `${PONG}\n`, stderr: "" });
    child.kill("SIGTERM");
    for await (const text of lines) said += text;
    assert.equal((await child.status).code, 0);
    assert.doesNotMatch(said, /NotCapable|Requires/);
  },
});

Deno.test({
  name: "init and mcp-connect run with the named sets of deno.json and their own home",
  ignore: !POSIX,
  fn: async () => {
    await using user = await userDirectory();
    const [hosting, agent] = [`${user.path}/hosting`, `${user.path}/agent`];
    const host = await initHome(hosting, "host");
    const run = (set: string, ...args: string[]) => {
      const [deno, , ...others] = TALOS;
      const files = [`--allow-read=${agent},${user.path}/.bmp`, `--allow-write=${agent}`];
      const flags = ["run", "--no-prompt", `-P=${set}`, ...files];
      const rest = others.filter((word) => word !== "--allow-all");
      return runTalosProcess([], {
        command: [deno, ...flags, ...rest, ...args],
        env: { TALOS_HOME: agent, HOME: user.path, DENO_DIR: denoDirectory() },
        stdin: `${PING}\n`,
      });
    };
    const made = await run("init", "init", "--name", "agent");
    assert.equal(made.code, 0, made.stderr);
    const peerId = /z6Mk\w{44}/.exec(made.stdout)?.[0] ?? assert.fail(made.stdout);
    await using serving = await startHost(hosting, ["--authorized-peer", peerId, "--", ...SERVER]);
    const target = `${host}@127.0.0.1:${serving.port}`;
    const connected = await run("mcp-connect", "mcp-connect", target);
    assert.equal(connected.code, 0, connected.stderr);
    assert.equal(connected.stdout, `${PONG}\n`, "Deno's own warning stays on stderr");
  },
});

Deno.test({
  name:
    "mcp-connect has nothing left but the network while its session runs, and reconnects with it",
  ignore: !POSIX,
  fn: async () => {
    await using user = await userDirectory();
    const [hosting, agent] = [`${user.path}/hosting`, `${user.path}/agent`];
    const [host, peerId] = [await initHome(hosting, "host"), await initHome(agent, "agent")];
    const port = freePort();
    const main = fileURLToPath(new URL("probing_main.ts", import.meta.url));
    const [program, ...before] = TALOS;
    const args = [...before.slice(0, -1), main];
    const child = new Deno.Command(program, {
      args: [...args, "--home", agent, "--verbose", "mcp-connect", `${host}@localhost:${port}`],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(`${PING}\n`));
    const lines = child.stderr.pipeThrough(new TextDecoderStream());
    let said = "";
    for await (const text of lines.values({ preventCancel: true })) {
      said += text;
      if (said.includes("trying again")) break;
    }
    // The name is looked up, and the connection made, when all else is given up.
    assert.match(said, /permissions given up given=run,ffi,write,read,env,sys,import kept=net/);
    await using _serving = await startHost(hosting, [
      ...["--port", String(port), "--authorized-peer", peerId, "--", ...SERVER],
    ]);
    const reading = (async () => {
      for await (const text of lines) said += text;
    })();
    const stdout = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const { value: first } = await stdout.read();
    assert.equal(first, `${PONG}\n`);
    await writer.close();
    await stdout.cancel();
    await reading;
    assert.equal((await child.status).code, 0, said);
    const probe = /^probe (.*)$/m.exec(said)?.[1] ?? assert.fail(said);
    assert.deepEqual(JSON.parse(probe), {
      read: false,
      write: false,
      env: false,
      sys: false,
      run: false,
      ffi: false,
      net: true,
    });
  },
});

/** Returns a port on which nothing listens. */
function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

/** Returns Deno's cache, which does not move with `$HOME`. */
function denoDirectory(): string {
  const { stdout } = new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).outputSync();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}
