/**
 * A small MCP server whose executions can be counted: `stateful_server.ts MARKER RECORD`.
 *
 * Every call of `count` and `count_again` appends its number to the file RECORD before anything else is done,
 * and is answered after `delay` ms; `stall` keeps the process from reading for so long. `ask` asks the agent
 * and answers with its words; a reply to another question appends `stray`. `state` tells what was set.
 * Questions are numbered from 1 in every process. It stands by itself, to start fast.
 */

const RECORD = Deno.args[1] ?? "";
const encoder = new TextEncoder();
const state = { level: "none", subscriptions: [] as string[], initialized: 0, initializes: 0 };
const questions = new Map<
  unknown,
  { readonly word: string; readonly reply: (text: string) => void }
>();
let lastQuestion = 0;

function record(what: string): void {
  Deno.writeFileSync(RECORD, encoder.encode(`${what}\n`), { append: true, create: true });
}

function print(message: Readonly<Record<string, unknown>>): void {
  const line = encoder.encode(JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n");
  for (let at = 0; at < line.length;) at += Deno.stdout.writeSync(line.subarray(at));
}

function say(id: unknown, text: string): void {
  print({ id, result: { content: [{ type: "text", text }] } });
}

// deno-lint-ignore no-explicit-any -- a message as it comes; what is not there ends this process
function callTool(id: unknown, name: string, words: any): void {
  switch (name) {
    case "count":
    case "count_again":
      record(`${words.n}`);
      if (words.stall > 0) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, words.stall);
      }
      setTimeout(() => say(id, `${words.n}`), words.delay);
      return;
    case "ask": {
      const question = ++lastQuestion;
      const word = `${crypto.randomUUID()}`;
      questions.set(question, { word, reply: (text) => say(id, text) });
      const content = { type: "text", text: word };
      const messages = [{ role: "user", content }];
      const params = { messages, maxTokens: 1, _meta: { progressToken: question } };
      return print({ id: question, method: "sampling/createMessage", params });
    }
    case "state":
      return say(id, JSON.stringify(state));
  }
}

// deno-lint-ignore no-explicit-any -- the same
function take({ id, method, params, result }: any): void {
  switch (method) {
    case undefined: {
      const question = questions.get(id);
      questions.delete(id);
      if (question === undefined || result?.content?.text !== question.word) record("stray");
      return question?.reply("answered");
    }
    case "initialize":
      state.initializes++;
      return print({
        id,
        result: {
          protocolVersion: params.protocolVersion,
          capabilities: {
            tools: { listChanged: true },
            resources: { subscribe: true, listChanged: true },
            logging: {},
          },
          serverInfo: { name: "stateful", version: "1" },
        },
      });
    case "notifications/initialized":
      state.initialized++;
      return;
    case "logging/setLevel":
      state.level = params.level;
      return print({ id, result: {} });
    case "resources/subscribe":
      state.subscriptions = [...new Set([...state.subscriptions, params.uri])].sort();
      return print({ id, result: {} });
    case "resources/unsubscribe":
      state.subscriptions = state.subscriptions.filter((uri) => uri !== params.uri);
      return print({ id, result: {} });
    case "tools/call":
      return callTool(id, params.name, params.arguments);
    default:
      if (id !== undefined) print({ id, result: {} });
  }
}

let text = "";
for await (const chunk of Deno.stdin.readable.pipeThrough(new TextDecoderStream())) {
  text += chunk;
  const lines = text.split("\n");
  text = lines.pop() ?? "";
  for (const line of lines) take(JSON.parse(line));
}
Deno.exit(0);
