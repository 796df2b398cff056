/** A small MCP server for soak runs: answers every request, ends when its stdin does. */

/** The command that starts it; `marker` makes its process easy to find. */
export function answeringServer(marker: string): readonly string[] {
  return [Deno.execPath(), "eval", PROGRAM, marker];
}

const PROGRAM = `
  let text = "";
  for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
    text += chunk;
    for (let at = text.indexOf("\\n"); at >= 0; at = text.indexOf("\\n")) {
      const { id } = JSON.parse(text.slice(0, at));
      text = text.slice(at + 1);
      console.log(JSON.stringify({ jsonrpc: "2.0", id, result: {} }));
    }
  }`;
