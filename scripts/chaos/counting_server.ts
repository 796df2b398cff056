/**
 * A small MCP server that keeps a journal: `counting_server.ts MARKER JOURNAL`.
 *
 * Before it answers a call it appends the call's number to the journal, so that what was run is known even
 * of a process that was killed a moment later. It asks its client questions (`ping`,
 * `sampling/createMessage`) and numbers its notifications. It stands by itself, to start fast. Ids of
 * its questions are the same in every process: a late reply that reaches a later process is noticed by
 * what it says. The journal's lines are, with the time in Unix milliseconds:
 *
 *     run NUMBER GENERATION TIME         a call was run
 *     cancelled NUMBER GENERATION TIME   a `cancelled` for this request came
 *     stray GENERATION ID                a reply came that nobody waited for, or not the right one
 */

/** One line of the journal, or one notification, bears this: it names the process. */
const GENERATION = crypto.randomUUID().slice(0, 8);

interface Message {
  readonly id?: number | string;
  readonly method?: string;
  readonly params?: {
    readonly protocolVersion?: string;
    readonly name?: string;
    readonly requestId?: number | string;
    readonly arguments?: Partial<CountArguments>;
    readonly _meta?: { readonly progressToken?: number | string };
  };
  readonly result?: { readonly content?: { readonly text?: string } };
}

/** What the tool `count` takes. */
export interface CountArguments {
  /** The number of the call. */
  readonly n: number;
  /** Milliseconds until it is answered. */
  readonly delay: number;
  /** Characters that the answer has besides. */
  readonly size: number;
  /** What the client is asked before the answer. */
  readonly question: "none" | "ping" | "sampling";
  /** Ballast. */
  readonly pad: string;
}

/** What it answers, as JSON in the first text. */
export interface CountResult {
  /** The number of the call. */
  readonly n: number;
  /** The process that ran it, as it calls itself. */
  readonly pid: number;
  /** Names that process. */
  readonly generation: string;
}

const TOOL = {
  name: "count",
  description: "Notes the number of the call.",
  inputSchema: { type: "object", properties: { n: { type: "number" } }, required: ["n"] },
};

class CountingServer {
  readonly #journal: Deno.FsFile;
  readonly #questions = new Map<number | string, (message: Message) => void>();
  readonly #encoder = new TextEncoder();
  #asked = 0;
  #notified = 0;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(journal: string) {
    this.#journal = Deno.openSync(journal, { append: true, create: true });
  }

  async run(): Promise<void> {
    let text = "";
    for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
      text += chunk;
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) this.#take(JSON.parse(line));
    }
  }

  #take(message: Message): void {
    const { id, method } = message;
    if (id === undefined) {
      const requestId = message.params?.requestId;
      if (requestId !== undefined) this.#note(`cancelled ${requestId} ${GENERATION} ${now()}`);
      return;
    }
    if (method === undefined) return this.#hear(id, message);
    switch (method) {
      case "initialize":
        return this.#send({
          id,
          result: {
            protocolVersion: message.params?.protocolVersion ?? "2025-11-25",
            capabilities: { tools: {}, logging: {} },
            serverInfo: { name: "counting", version: "1" },
          },
        });
      case "ping":
      case "logging/setLevel":
        return this.#send({ id, result: {} });
      case "tools/list":
        return this.#send({ id, result: { tools: [TOOL] } });
      case "tools/call":
        return void this.#count(id, message);
      default:
        return this.#send({ id, error: { code: -32601, message: "no such method" } });
    }
  }

  #hear(id: number | string, message: Message): void {
    const waiting = this.#questions.get(id);
    if (waiting === undefined) return this.#note(`stray ${GENERATION} ${id}`);
    this.#questions.delete(id);
    waiting(message);
  }

  async #count(id: number | string, { params }: Message): Promise<void> {
    const { n = -1, delay = 0, size = 0, question = "none" } = params?.arguments ?? {};
    this.#note(`run ${n} ${GENERATION} ${now()}`);
    this.#notify();
    const progressToken = params?._meta?.progressToken;
    if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay / 2));
    if (progressToken !== undefined) {
      this.#send({
        method: "notifications/progress",
        params: { progressToken, progress: 1, total: 2 },
      });
    }
    if (question !== "none") await this.#ask(question);
    if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay / 2));
    this.#notify();
    const result: CountResult = { n, pid: Deno.pid, generation: GENERATION };
    const texts = [JSON.stringify(result), ...(size > 0 ? ["x".repeat(size)] : [])];
    this.#send({ id, result: { content: texts.map((text) => ({ type: "text", text })) } });
  }

  async #ask(question: "ping" | "sampling"): Promise<void> {
    const number = ++this.#asked;
    const id = number % 2 === 0 ? number : `question-${number}`;
    const text = `${GENERATION}/${number}`;
    const reply = await new Promise<Message>((resolve) => {
      this.#questions.set(id, resolve);
      this.#send(
        question === "ping" ? { id, method: "ping" } : {
          id,
          method: "sampling/createMessage",
          params: { messages: [{ role: "user", content: { type: "text", text } }], maxTokens: 9 },
        },
      );
    });
    const heard = question === "ping" ? reply.result !== undefined : isEcho(reply, text);
    if (!heard) this.#note(`stray ${GENERATION} ${id}`);
  }

  #notify(): void {
    const data = { generation: GENERATION, number: ++this.#notified };
    this.#send({ method: "notifications/message", params: { level: "info", data } });
  }

  #send(message: object): void {
    const line = JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n";
    this.#writing = this.#writing.then(() => this.#write(this.#encoder.encode(line)));
  }

  async #write(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) at += await Deno.stdout.write(bytes.subarray(at));
  }

  #note(line: string): void {
    this.#journal.writeSync(this.#encoder.encode(line + "\n"));
  }
}

function now(): number {
  return performance.timeOrigin + performance.now();
}

function isEcho({ result }: Message, text: string): boolean {
  return result?.content?.text === text;
}

if (import.meta.main) await new CountingServer(Deno.args[1] ?? "journal").run();
