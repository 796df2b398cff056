import assert from "node:assert/strict";

import { fixture, soon } from "./mcp_tunnel.ts";

const MIB = 1024 * 1024;

function start(args: readonly string[]) {
  const [program = "", ...words] = fixture("stdio_echo", ...args);
  const child = new Deno.Command(program, {
    args: words,
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  const lines = linesOf(child.stderr);
  return {
    child,
    writer,
    say: (line: string) => writer.write(new TextEncoder().encode(line + "\n")),
    hear: async () => (await soon(lines.next(), "a line on stderr")).value,
  };
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, undefined> {
  let text = "";
  for await (const chunk of stream.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n")) {
      yield text.slice(0, end);
      text = text.slice(end + 1);
    }
  }
}

Deno.test("processStdio() lives on while its agent does not read, and loses nothing", async () => {
  const { child, writer, say, hear } = start(["--large"]);
  const reader = child.stdout.getReader({ mode: "byob" });
  const first = await soon(reader.read(new Uint8Array(1)), "the first byte");
  assert.equal(first.value?.length, 1); // it is writing now, and there is no room for all of it
  for (let turn = 0; turn < 20; turn++) {
    await say(`${turn}`);
    assert.equal(await hear(), `alive: ${turn}`);
  }
  await say("echo"); // behind what is still being written
  let length = 1;
  let tail = "";
  while (length < MIB + 1 + "echoed\n".length) {
    const { value } = await soon(reader.read(new Uint8Array(64 * 1024)), "what was written");
    assert.ok(value !== undefined, `the end came after ${length} bytes`);
    length += value.length;
    tail = (tail + new TextDecoder().decode(value)).slice(-16);
  }
  assert.equal(tail, "xxxxxxxx\nechoed\n");
  assert.equal(await hear(), "written");
  await writer.close();
  assert.equal(await hear(), "end");
  assert.equal((await child.status).code, 0);
  await reader.cancel();
});

Deno.test("processStdio() fails to write when its agent closes the pipe in the middle", async () => {
  const { child, writer, hear } = start(["--large"]);
  const reader = child.stdout.getReader();
  await reader.read();
  await reader.cancel();
  assert.equal(await hear(), "broken");
  await writer.close();
  assert.equal(await hear(), "end");
  await child.status;
});

Deno.test("processStdio() reads and writes files as it does pipes", {
  ignore: Deno.build.os === "windows",
}, async () => {
  const folder = await Deno.makeTempDir();
  try {
    const large = "y".repeat(300_000);
    await Deno.writeTextFile(`${folder}/in`, `echo\n${large}\necho\nlast`);
    const words = fixture("stdio_echo").map((word) => `'${word}'`).join(" ");
    const { stderr } = await new Deno.Command("/bin/sh", {
      args: ["-c", `${words} < '${folder}/in' > '${folder}/out'`],
      stderr: "piped",
    }).output();
    assert.equal(await Deno.readTextFile(`${folder}/out`), "echoed\nechoed\n");
    assert.equal(new TextDecoder().decode(stderr), `alive: ${large}\nend\n`);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
