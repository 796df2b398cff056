import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { pathToFileURL } from "node:url";
import { compile } from "../../scripts/compile.ts";
import { PROGRAMS, TARGETS } from "../../scripts/compile_targets.ts";
import { ROOT, typescriptFiles } from "../../scripts/source_files.ts";
import {
  initHome,
  runTalosProcess,
  startReady,
  TALOS,
  TALOS_SERVER,
} from "../../scripts/talos_process.ts";

const here = TARGETS.find(({ triple }) => triple === Deno.build.target);

/** `command` with the permissions of an executable instead of all. */
function confined(
  command: readonly [string, ...string[]],
  name: string,
): readonly [string, ...string[]] {
  const { permissions } = PROGRAMS.find((program) => program.name === name)!;
  const [first, ...rest] = command;
  return [first, ...rest.flatMap((word) => word === "--allow-all" ? permissions : [word])];
}

for (const program of PROGRAMS) {
  // Every link copies some 100 MB: the other systems are linked by `deno task compile` and in CI.
  Deno.test({
    name: `${program.name} links for this system, whole and without the tests' packages` +
      (here === undefined ? " (skipped: not a system that is built for)" : ""),
    ignore: here === undefined,
    async fn() {
      const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-test-" }));
      try {
        const standIn = { path: await Deno.realPath(Deno.execPath()), version: Deno.version.deno };
        const artifact = await compile(program, here!, standIn, pathToFileURL(`${folder}/`));
        const embedded = artifact.embeddedBytes;
        assert.ok(embedded !== null && embedded > 500_000, "it embeds the program");
        const bytes = Buffer.from(await Deno.readFile(artifact.path));
        const main = await Deno.readTextFile(new URL(program.main, ROOT));
        assert.ok(bytes.includes(main), "it embeds its main module");
        // The names of embedded folders and files, as the executable lists them.
        const lists = (name: string) => bytes.includes(`{"n":"${name}",`);
        assert.ok(lists("ml-kem.js"), "it embeds its packages");
        for (const name of ["@modelcontextprotocol", "noise-c.wasm", "express", "zod"]) {
          assert.ok(!lists(name), `it does not embed ${name}, which only tests need`);
        }
        if (program.name === "talos") {
          for (const file of await typescriptFiles("lib/cli/commands")) {
            const source = await Deno.readTextFile(new URL(file, ROOT));
            assert.ok(bytes.includes(source), `it embeds ${file}, which is loaded when it runs`);
          }
        }
      } finally {
        await Deno.remove(folder, { recursive: true });
      }
    },
  });
}

/** An MCP server that answers every request. */
const ANSWERING = `
  let text = "";
  for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let at = text.indexOf("\\n"); at >= 0; at = text.indexOf("\\n")) {
      const { id } = JSON.parse(text.slice(0, at));
      text = text.slice(at + 1);
      console.log(JSON.stringify({ jsonrpc: "2.0", id, result: { answered: true } }));
    }
  }`;

Deno.test("talos does its job with the permissions that are baked in", async () => {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-test-" }));
  try {
    const talos = confined(TALOS, "talos");
    const host = await initHome(`${folder}/host`, "host");
    const agent = await initHome(`${folder}/agent`, "agent");
    const status = await runTalosProcess(["--home", `${folder}/host`, "--json", "status"], {
      command: talos,
    });
    assert.equal(status.code, 0, status.stderr);
    await using serving = await startReady([
      ...talos,
      "--home",
      `${folder}/host`,
      "--json",
      "mcp-serve",
      "--port",
      "0",
      "--authorized-peer",
      agent,
      "--",
      Deno.execPath(),
      "eval",
      ANSWERING,
    ]);
    const [command, ...args] = talos;
    const target = `${host}@127.0.0.1:${serving.port}`;
    await using connecting = new Deno.Command(command, {
      args: [...args, "--home", `${folder}/agent`, "mcp-connect", target],
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    const writer = connecting.stdin.getWriter();
    await writer.write(new TextEncoder().encode('{"jsonrpc":"2.0","id":1,"method":"ping"}\n'));
    const reader = connecting.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const { value } = await reader.read();
    assert.equal(value, '{"jsonrpc":"2.0","id":1,"result":{"answered":true}}\n');
    await writer.close();
    await reader.cancel();
    assert.equal((await connecting.status).code, 0);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("talos-server does its job with the permissions that are baked in", async () => {
  const folder = await Deno.makeTempDir({ prefix: "talos-test-" });
  try {
    const command = confined(TALOS_SERVER, "talos-server");
    const words = ["--data-dir", `${folder}/data`, "--json", "--port", "0"];
    await using server = await startReady([...command, ...words]);
    assert.equal(server.ready["event"], "ready");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
