/**
 * An agent as a process of its own, to be killed: starts the command of its arguments, asks it one question
 * after the other, prints a line for each answer, and ends when its stdin does.
 */

// deno-lint-ignore-file no-console -- printing is what this script is for.

if (import.meta.main) {
  const [program = "", ...args] = Deno.args;
  const child = new Deno.Command(program, {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  console.log(child.pid);
  const writer = child.stdin.getWriter();
  writer.closed.catch(() => {}); // it ended: its status says so
  const ask = async (id: number) => {
    const line = JSON.stringify({ jsonrpc: "2.0", id, method: "ping" }) + "\n";
    await writer.write(new TextEncoder().encode(line)).catch(() => {}); // it ended
  };
  const told = Deno.stdin.read(new Uint8Array(1)).then(() => writer.close().catch(() => {}));
  await ask(1);
  let id = 1;
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    console.log(text.trimEnd());
    await ask(++id);
  }
  await Promise.race([child.status, told]);
  Deno.exit((await child.status).code);
}
