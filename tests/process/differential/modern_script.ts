/**
 * Everything that the client of `@modelcontextprotocol/client` can do with the server of
 * `modern_server.ts`, in either era: protocol revision 2026-07-28, where the client asks anew with every
 * request, or the 2025 era, where the same server sends requests of its own.
 */

import assert from "node:assert/strict";

import { Client, LOG_LEVEL_META_KEY, type McpSubscription } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";
import { z } from "zod";
import { Recording } from "./recording.ts";
import type { Way } from "./two_ways.ts";

/** Which revision the client insists on. */
export type Era = "modern" | "legacy";

/** A question that the server takes back before anybody could answer. */
const FORGOTTEN_QUESTION = "What was it?";
const SETTINGS_URI = "test://settings";
const AnyResult = z.looseObject({});

/** The transport itself. Its subclass is asked in place for its era, so that the record has it. */
class ProbedInPlace extends StdioClientTransport {}

/** Runs the script and returns every message of it. */
export async function runModern(way: Way, era: Era): Promise<Recording<object>> {
  const script = new ModernScript(way, era);
  try {
    await script.run();
    return script.recording;
  } finally {
    await script.client.close();
  }
}

/** Connects a client that finds out by itself which era the server speaks, and returns every message. */
export async function runUndecided(way: Way, found: Era): Promise<Recording<object>> {
  const transport = new ProbedInPlace({ ...way, stderr: "ignore" });
  const recording = new Recording(transport);
  const client = undecidedClient();
  try {
    await client.connect(transport);
    assert.equal(client.getProtocolEra(), found);
    await client.listTools();
  } finally {
    await client.close();
  }
  return recording;
}

/** Returns a client that takes either era. */
export function undecidedClient(): Client {
  return new Client(
    { name: "talos-differential", version: "1.0.0" },
    { versionNegotiation: { mode: "auto" } },
  );
}

class ModernScript {
  readonly recording: Recording<object>;
  readonly client: Client;
  readonly #transport: StdioClientTransport;
  readonly #era: Era;
  /** What the user does with the next questions, in order; then agrees. */
  readonly #decisions: ("accept" | "decline")[] = [];

  constructor(way: Way, era: Era) {
    this.#era = era;
    this.#transport = new ProbedInPlace({ ...way, stderr: "ignore" });
    this.recording = new Recording(this.#transport);
    this.client = new Client({ name: "talos-differential", version: "1.0.0" }, {
      capabilities: {
        sampling: {},
        elicitation: { form: {}, url: {} },
        roots: {},
        extensions: { "io.modelcontextprotocol/tasks": {} },
      },
      versionNegotiation: { mode: era === "modern" ? { pin: "2026-07-28" } : "legacy" },
    });
    this.#answer();
  }

  async run(): Promise<void> {
    await this.client.connect(this.#transport);
    assert.equal(this.client.getProtocolEra(), this.#era);
    await this.#tools();
    await this.#questions();
    await this.#resources();
    await this.#prompts();
    await this.#logging();
    await this.#progress();
    await this.#custom();
    await this.#refusals();
    if (this.#era === "legacy") {
      await this.#subscriptions();
      await this.#call("turn-round");
      await this.client.ping();
    } else {
      await this.#tasks();
      await this.#listening();
    }
  }

  #answer(): void {
    this.client.setRequestHandler("elicitation/create", async ({ params }, context) => {
      if (params.message === FORGOTTEN_QUESTION) await aborted(context.mcpReq.signal);
      if ((this.#decisions.shift() ?? "accept") === "decline") return { action: "decline" };
      if (params.mode === "url") return { action: "accept" };
      return { action: "accept", content: { sure: true, name: "Talos", colour: "bronze" } };
    });
    this.client.setRequestHandler("sampling/createMessage", () => ({
      role: "assistant",
      model: "no-model",
      content: { type: "text", text: "a summary" },
    }));
    this.client.setRequestHandler("roots/list", () => ({
      roots: [{ uri: "file:///srv/projects", name: "Projects" }],
    }));
  }

  async #call(name: string, args: Record<string, unknown> = {}): Promise<void> {
    await this.client.callTool({ name, arguments: args });
  }

  async #tools(): Promise<void> {
    await this.client.listTools();
    await this.#call("echo", { text: "\u2028 \0 ß 👩‍👩‍👧 \r\n" });
    await this.#call("echo", { text: "y".repeat(1024 * 1024) });
    await this.#call("echo", { text: 1 });
    await this.#call("add", { a: 0.1, b: 0.2 });
    await this.#call("fail");
    const numbers = Array.from({ length: 50 }, (_, at) => `${at}`);
    await Promise.all(numbers.map((text) => this.#call("echo", { text })));
  }

  async #questions(): Promise<void> {
    await this.#call("deploy", { place: "Crete" });
    this.#decisions.push("accept", "decline");
    await this.#call("deploy", { place: "Athens" });
    this.#decisions.push("decline");
    await this.#call("deploy", { place: "Sparta" });
    await this.#call("consult");
  }

  async #resources(): Promise<void> {
    await this.client.listResources();
    await this.client.listResourceTemplates();
    await this.client.readResource({ uri: SETTINGS_URI });
    await this.client.readResource({ uri: "test://language/rust" });
    await this.client.readResource({ uri: "test://secret" });
    await this.client.complete({
      ref: { type: "ref/resource", uri: "test://language/{name}" },
      argument: { name: "name", value: "r" },
    });
  }

  async #prompts(): Promise<void> {
    await this.client.listPrompts();
    await this.client.getPrompt({ name: "review", arguments: { language: "go", tone: "harshly" } });
    await this.client.getPrompt({ name: "greet" });
    const ref = { type: "ref/prompt" as const, name: "review" };
    await this.client.complete({ ref, argument: { name: "language", value: "ja" } });
    const context = { arguments: { language: "go" } };
    await this.client.complete({ ref, argument: { name: "tone", value: "kindly" }, context });
  }

  async #logging(): Promise<void> {
    await this.#call("log");
    if (this.#era === "legacy") {
      await this.client.setLoggingLevel("warning");
      await this.#call("log");
    } else {
      const _meta = { [LOG_LEVEL_META_KEY]: "warning" };
      await this.client.callTool({ name: "log", arguments: {}, _meta });
    }
  }

  async #progress(): Promise<void> {
    const { callTool } = this.client;
    const onprogress = () => {};
    await callTool.call(this.client, { name: "count", arguments: { to: 3 } }, { onprogress });
    const abort = new AbortController();
    const waiting = callTool.call(this.client, { name: "wait", arguments: {} }, {
      signal: abort.signal,
      onprogress: () => abort.abort("the user changed his mind"),
    });
    await assert.rejects(waiting);
    await this.#call("echo", { text: "nothing comes for the call that was cancelled" });
  }

  async #custom(): Promise<void> {
    const params = { query: "bronze" };
    await this.client.request({ method: "org.talos/search", params }, AnyResult);
  }

  async #refusals(): Promise<void> {
    const { client } = this;
    const forged = { name: "deploy", arguments: { place: "x" }, requestState: "forged" };
    const refused: (() => Promise<unknown>)[] = [
      () => client.callTool({ name: "no-such-tool" }),
      () => client.readResource({ uri: "test://elsewhere" }),
      () => client.getPrompt({ name: "review", arguments: {} }),
      () => client.request({ method: "org.talos/no-such-method" }, AnyResult),
      () => client.request({ method: "org.talos/search", params: { query: 1 } }, AnyResult),
      () => client.request({ method: "tools/call", params: forged }),
    ];
    for (const request of refused) await request().catch(() => {}); // the transcript has the reason
  }

  async #subscriptions(): Promise<void> {
    await this.#call("change");
    await this.recording.until("notifications/resources/updated", 2);
  }

  async #tasks(): Promise<void> {
    const started = async () => {
      const { structuredContent } = await this.client.callTool({ name: "start", arguments: {} });
      return z.object({ taskId: z.string() }).parse(structuredContent).taskId;
    };
    const request = (method: string, params: Record<string, unknown>) =>
      this.client.request({ method, params }, AnyResult);
    const answered = await started();
    const cancelled = await started();
    await request("tasks/get", { taskId: answered });
    const inputResponses = { colour: { action: "accept", content: { colour: "bronze" } } };
    await request("tasks/update", { taskId: answered, inputResponses });
    await request("tasks/get", { taskId: answered });
    await request("tasks/cancel", { taskId: cancelled });
    await request("tasks/get", { taskId: cancelled });
    await request("tasks/get", { taskId: "unknown" }).catch(() => {}); // in the transcript
  }

  /** Subscriptions of which the client ends one, and the server the other as it leaves. */
  async #listening(): Promise<void> {
    const { client, recording } = this;
    const everything = await client.listen({
      toolsListChanged: true,
      promptsListChanged: true,
      resourcesListChanged: true,
      resourceSubscriptions: [SETTINGS_URI],
    });
    const updates: McpSubscription = await client.listen({ resourceSubscriptions: [SETTINGS_URI] });
    await this.#call("change");
    await recording.until("notifications/resources/updated", 2);
    await updates.close();
    await this.#call("change");
    await recording.until("notifications/resources/updated", 3);
    await client.listen({}).then((nothing) => nothing.close());
    await this.#call("leave");
    assert.equal(await everything.closed, "graceful");
  }
}

async function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
}
