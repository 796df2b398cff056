/** The puppet server of the process tests, as a child of the test itself. */

import { systemClock } from "../../lib/clock.ts";
import { type Bytes, fromUtf8, utf8 } from "../../lib/bytes.ts";
import { ChildProcess } from "../../lib/mcp/child_process.ts";
import type { LaunchPlan } from "../../lib/mcp/launcher.ts";
import { LineSplitter } from "../../lib/mcp/lines.ts";
import { fixture, soon } from "../process/mcp_tunnel.ts";

/** Returns how the puppet is started. */
export function puppetPlan(...args: readonly string[]): LaunchPlan {
  const [program = "", ...words] = fixture("puppet_server", ...args);
  return { argv: [program, ...words], env: { PATH: Deno.env.get("PATH") ?? "" } };
}

/** Any program as a child, whose lines can be read one by one. */
export class TestChild implements AsyncDisposable {
  /** The child itself. */
  readonly child: ChildProcess;
  readonly #lines: AsyncGenerator<string>;
  /** What it said on stderr, once it has ended. */
  readonly stderr: Promise<string>;

  private constructor(plan: LaunchPlan) {
    this.child = new ChildProcess(plan, Deno.build.os);
    this.#lines = linesOf(this.child.stdout());
    this.stderr = textOf(this.child.stderr());
  }

  /** Starts the puppet. */
  static puppet(...args: readonly string[]): TestChild {
    return new TestChild(puppetPlan(...args));
  }

  /** Writes a request. */
  async send(id: number, method: string, params: unknown = {}): Promise<boolean> {
    return await this.child.writeLine(utf8(JSON.stringify({ jsonrpc: "2.0", id, method, params })));
  }

  /** Returns the next line it prints, or null at the end. */
  async line(): Promise<string | null> {
    const { value, done } = await soon(this.#lines.next(), "a line of the child");
    return done === true ? null : value;
  }

  /** Sends a request and returns the result that is printed next. */
  async ask(id: number, method: string, params: unknown = {}) {
    await this.send(id, method, params);
    return JSON.parse(await this.line() ?? "null").result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ending = this.child.shutDown(systemClock, 100);
    while (await this.line() !== null);
    await ending;
    await this.stderr;
  }
}

async function* linesOf(chunks: AsyncIterable<Bytes>): AsyncGenerator<string> {
  const splitter = new LineSplitter();
  for await (const chunk of chunks) {
    for (const line of splitter.feed(chunk.slice())) {
      if (line.kind === "line") yield fromUtf8(line.bytes);
    }
  }
}

async function textOf(chunks: AsyncIterable<Bytes>): Promise<string> {
  let text = "";
  for await (const chunk of chunks) text += fromUtf8(chunk);
  return text;
}
