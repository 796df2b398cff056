/**
 * Everything that the MCP SDK's client of the 2025 era can do with `@modelcontextprotocol/server-everything`.
 *
 * It waits for what the server says by itself (roots, updates, progress), so that the order of messages
 * is the same in every run.
 */

import assert from "node:assert/strict";

import { Client } from "@modelcontextprotocol/sdk/client";
// @ts-types="@modelcontextprotocol/sdk/client/stdio"
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { InMemoryTaskStore } from "@modelcontextprotocol/sdk/experimental/tasks";
// @ts-types="@modelcontextprotocol/sdk/types"
import {
  CallToolResultSchema,
  CreateMessageRequestSchema,
  CreateTaskResultSchema,
  ElicitRequestSchema,
  EmptyResultSchema,
  ListRootsRequestSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { Recording } from "./recording.ts";
import { isEnvironment } from "./normalisations.ts";
import type { Way } from "./two_ways.ts";

/** What a run of the script left behind. */
export interface EverythingRun {
  /** Every message. */
  readonly recording: Recording<object>;
  /** What `get-env` answered. */
  readonly environment: Readonly<Record<string, string>>;
}

/** The tools that the script calls: all that the server has for a client with every capability. */
const TOOLS = [
  "echo",
  "get-annotated-message",
  "get-env",
  "get-resource-links",
  "get-resource-reference",
  "get-roots-list",
  "get-structured-content",
  "get-sum",
  "get-tiny-image",
  "gzip-file-as-resource",
  "simulate-research-query",
  "toggle-simulated-logging",
  "toggle-subscriber-updates",
  "trigger-elicitation-request",
  "trigger-elicitation-request-async",
  "trigger-long-running-operation",
  "trigger-sampling-request",
  "trigger-sampling-request-async",
  "trigger-url-elicitation",
];

const PROGRESS_STEPS = 4;
const CALLS_AT_ONCE = 50;
const TEXT_RESOURCE = "demo://resource/dynamic/text/1";
const BLOB_RESOURCE = "demo://resource/dynamic/blob/2";

/** What `JSON.stringify` escapes, what it does not, and what line readers stumble over. */
const DIFFICULT_TEXT =
  'quote " backslash \\ tab \t CR \r LF \n NUL \0 U+2028 \u2028 U+0085 \u0085 ' +
  "BOM \ufeff ß 日本語 👩‍👩‍👧 \u202eright to left";

/** Runs the script. `file` is the URL of something to compress. */
export async function runEverything(way: Way, file: string): Promise<EverythingRun> {
  const script = new EverythingScript(way);
  try {
    await script.run(file);
    return { recording: script.recording, environment: script.environment };
  } finally {
    await script.close();
  }
}

class EverythingScript {
  readonly recording: Recording<object>;
  environment: Record<string, string> = {};
  readonly #transport: StdioClientTransport;
  readonly #client: Client;
  readonly #tasks = new InMemoryTaskStore();
  /** What the user does with the next forms, in order; then accepts. */
  readonly #decisions: ("accept" | "decline" | "cancel")[] = [];
  readonly #called = new Set<string>();

  constructor(way: Way) {
    this.#transport = new StdioClientTransport({ ...way, stderr: "ignore" });
    this.recording = new Recording(this.#transport);
    this.#client = new Client({ name: "talos-differential", version: "1.0.0" }, {
      capabilities: {
        sampling: {},
        elicitation: { form: {}, url: {} },
        roots: { listChanged: true },
        tasks: {
          list: {},
          cancel: {},
          requests: { sampling: { createMessage: {} }, elicitation: { create: {} } },
        },
      },
      taskStore: this.#tasks,
    });
    this.#answerServer();
  }

  async close(): Promise<void> {
    await this.#client.close();
    this.#tasks.cleanup();
  }

  async run(file: string): Promise<void> {
    await this.#client.connect(this.#transport);
    await this.recording.until("roots/list", 1);
    await this.recording.until("notifications/message", 1);
    await this.#client.ping();
    const { tools } = await this.#client.listTools();
    assert.deepEqual(tools.map(({ name }) => name).toSorted(), TOOLS);
    await this.#simpleTools();
    await this.#structuredTools(file);
    await this.#roots();
    await this.#elicitation();
    await this.#sampling();
    await this.#resources();
    await this.#prompts();
    await this.#completion();
    await this.#logging();
    await this.#subscriptions();
    await this.#progress();
    await this.#manyAtOnce();
    await this.#serverTask();
    await this.#refusals();
    await this.#cancellation();
    assert.deepEqual([...this.#called].toSorted(), TOOLS, "every tool was called");
  }

  #answerServer(): void {
    this.#client.setRequestHandler(ListRootsRequestSchema, () => ({
      roots: [{ uri: "file:///srv/projects", name: "Projects" }, { uri: "file:///srv/ü" }],
    }));
    this.#client.setRequestHandler(CreateMessageRequestSchema, async ({ params }, extra) => {
      const result = {
        role: "assistant" as const,
        model: "no-model",
        content: { type: "text" as const, text: `an answer of at most ${params.maxTokens} tokens` },
        stopReason: "endTurn",
      };
      if (params.task === undefined || extra.taskStore === undefined) return result;
      const task = await extra.taskStore.createTask({ ttl: params.task.ttl ?? null });
      await extra.taskStore.storeTaskResult(task.taskId, "completed", result);
      return { task };
    });
    this.#client.setRequestHandler(ElicitRequestSchema, async ({ params }, extra) => {
      const action = this.#decisions.shift() ?? "accept";
      const content = "requestedSchema" in params && action === "accept"
        ? { content: answersTo(params.requestedSchema.properties) }
        : {};
      const result = { action, ...content };
      if (params.task === undefined || extra.taskStore === undefined) return result;
      const task = await extra.taskStore.createTask({ ttl: params.task.ttl ?? null });
      await extra.taskStore.storeTaskResult(task.taskId, "completed", result);
      return { task };
    });
  }

  async #call(name: string, args: Record<string, unknown> = {}): Promise<unknown> {
    this.#called.add(name);
    return await this.#client.callTool({ name, arguments: args });
  }

  async #simpleTools(): Promise<void> {
    await this.#call("echo", { message: "hello" });
    await this.#call("echo", { message: DIFFICULT_TEXT });
    await this.#call("echo", { message: "x".repeat(1024 * 1024) });
    await this.#call("echo", {});
    await this.#call("get-sum", { a: 0.1, b: 2e-7 });
    await this.#call("get-sum", { a: "one", b: Number.MAX_SAFE_INTEGER });
    await this.#call("get-tiny-image");
    for (const messageType of ["error", "success", "debug"]) {
      await this.#call("get-annotated-message", { messageType, includeImage: true });
    }
    const answer = CallToolResultSchema.parse(await this.#call("get-env"));
    const [first] = answer.content;
    assert.ok(first?.type === "text" && isEnvironment(first.text), "get-env shows its environment");
    this.environment = JSON.parse(first.text);
  }

  async #structuredTools(file: string): Promise<void> {
    await this.#call("get-structured-content", { location: "Chicago" });
    await this.#call("get-resource-links", { count: 4 });
    await this.#call("get-resource-reference", { resourceType: "Text", resourceId: 1 });
    await this.#call("get-resource-reference", { resourceType: "Blob", resourceId: 2 });
    const name = "sample.txt.gz";
    await this.#call("gzip-file-as-resource", { name, data: file, outputType: "resource" });
    await this.#call("gzip-file-as-resource", { name, data: file, outputType: "resourceLink" });
    await this.#client.readResource({ uri: `demo://resource/session/${name}` });
  }

  async #roots(): Promise<void> {
    await this.#call("get-roots-list");
    await this.#client.sendRootsListChanged();
    await this.recording.until("roots/list", 2);
    await this.recording.until("notifications/message", 2);
  }

  async #elicitation(): Promise<void> {
    this.#decisions.push("accept", "decline", "cancel");
    for (let count = 0; count < 3; count++) await this.#call("trigger-elicitation-request");
    const url = "https://example.com/sign-in?from=talos";
    await this.#call("trigger-url-elicitation", { url, message: "Please sign in" });
    await this.#client.callTool({
      name: "trigger-url-elicitation",
      arguments: { url, errorPath: true },
    }).then(
      () => assert.fail("the server asks for another page first"),
      (error: unknown) => assert.match(String(error), /browser-based/),
    );
    await this.#call("trigger-url-elicitation", { url, errorPath: true });
    await this.#call("trigger-elicitation-request-async");
  }

  async #sampling(): Promise<void> {
    await this.#call("trigger-sampling-request", { prompt: "What is Talos?", maxTokens: 10 });
    await this.#call("trigger-sampling-request-async", { prompt: "And bronze?", maxTokens: 20 });
  }

  async #resources(): Promise<void> {
    const { resources } = await this.#client.listResources();
    await this.#client.listResourceTemplates();
    for (const { uri } of resources) await this.#client.readResource({ uri });
    await this.#client.readResource({ uri: TEXT_RESOURCE });
    await this.#client.readResource({ uri: BLOB_RESOURCE });
  }

  async #prompts(): Promise<void> {
    await this.#client.listPrompts();
    await this.#client.getPrompt({ name: "simple-prompt" });
    await this.#client.getPrompt({ name: "args-prompt", arguments: { city: "Athens" } });
    await this.#client.getPrompt({
      name: "completable-prompt",
      arguments: { department: "Sales", name: "Eve" },
    });
    for (const resourceType of ["Text", "Blob"]) {
      await this.#client.getPrompt({
        name: "resource-prompt",
        arguments: { resourceType, resourceId: "3" },
      });
    }
  }

  async #completion(): Promise<void> {
    const ref = { type: "ref/prompt" as const, name: "completable-prompt" };
    await this.#client.complete({ ref, argument: { name: "department", value: "S" } });
    await this.#client.complete({
      ref,
      argument: { name: "name", value: "" },
      context: { arguments: { department: "Sales" } },
    });
    await this.#client.complete({
      ref: { type: "ref/resource", uri: "demo://resource/dynamic/text/{resourceId}" },
      argument: { name: "resourceId", value: "7" },
    });
  }

  async #logging(): Promise<void> {
    await this.#client.setLoggingLevel("debug");
    await this.#call("toggle-simulated-logging");
    await this.recording.until("notifications/message", 3);
    await this.#call("toggle-simulated-logging");
  }

  async #subscriptions(): Promise<void> {
    await this.#client.subscribeResource({ uri: TEXT_RESOURCE });
    await this.#client.subscribeResource({ uri: BLOB_RESOURCE });
    await this.#client.setLoggingLevel("error"); // subscribing is no longer logged
    await this.#client.subscribeResource({ uri: "demo://resource/dynamic/text/3" });
    await this.#client.unsubscribeResource({ uri: BLOB_RESOURCE });
    await this.#call("toggle-subscriber-updates");
    await this.recording.until("notifications/resources/updated", 2);
    await this.#call("toggle-subscriber-updates");
  }

  async #progress(): Promise<void> {
    this.#called.add("trigger-long-running-operation");
    await this.#client.callTool(
      {
        name: "trigger-long-running-operation",
        arguments: { duration: 0.2, steps: PROGRESS_STEPS },
      },
      undefined,
      { onprogress: () => {} },
    );
    await this.recording.until("notifications/progress", PROGRESS_STEPS);
  }

  /** Only calls that take the server alike: others overtake each other as they happen to arrive. */
  async #manyAtOnce(): Promise<void> {
    const numbers = Array.from({ length: CALLS_AT_ONCE }, (_, at) => `${at}`);
    await Promise.all(numbers.map((message) => this.#call("echo", { message })));
  }

  /** A call that the server runs as a task, and that asks the user in the middle of it. */
  async #serverTask(): Promise<void> {
    const name = "simulate-research-query";
    this.#called.add(name);
    const params = { name, arguments: { topic: "python", ambiguous: true }, task: { ttl: 60_000 } };
    const { task } = await this.#client.request(
      { method: "tools/call", params },
      CreateTaskResultSchema,
    );
    const { tasks } = this.#client.experimental;
    await tasks.getTask(task.taskId);
    await tasks.getTaskResult(task.taskId, CallToolResultSchema);
    await tasks.getTask(task.taskId);
    const second = await this.#client.request(
      { method: "tools/call", params: { ...params, arguments: { topic: "bronze" } } },
      CreateTaskResultSchema,
    );
    await tasks.cancelTask(second.task.taskId);
    await tasks.listTasks();
  }

  /** What the server refuses, Talos hands on: the errors are the server's own. */
  async #refusals(): Promise<void> {
    const client = this.#client;
    const refused: (() => Promise<unknown>)[] = [
      () => client.callTool({ name: "no-such-tool", arguments: {} }),
      () => client.readResource({ uri: "demo://resource/dynamic/text/zero" }),
      () => client.readResource({ uri: "demo://elsewhere" }),
      () => client.getPrompt({ name: "no-such-prompt" }),
      () => client.getPrompt({ name: "args-prompt", arguments: {} }),
      () => client.request({ method: "talos/no-such-method" }, EmptyResultSchema),
    ];
    for (const request of refused) await request().catch(() => {}); // the transcript has the reason
  }

  async #cancellation(): Promise<void> {
    const abort = new AbortController();
    const call = this.#client.callTool(
      { name: "trigger-long-running-operation", arguments: { duration: 2, steps: 2 } },
      undefined,
      { signal: abort.signal, onprogress: () => abort.abort("the user changed his mind") },
    );
    await assert.rejects(call);
    // The server goes on reporting, and gives no result.
    await this.recording.until("notifications/progress", PROGRESS_STEPS + 2);
    await this.#client.ping();
  }
}

/** Fills in a form: something of the right kind for each of its fields. */
function answersTo(fields: Readonly<Record<string, object>>) {
  const answers: Record<string, string | boolean | number | string[]> = {};
  for (const [name, field] of Object.entries(fields)) {
    const type = "type" in field ? field.type : undefined;
    if ("default" in field) continue;
    if (type === "boolean") answers[name] = true;
    else if ("oneOf" in field) answers[name] = "programming";
    else if ("enum" in field) answers[name] = "Green";
    else if ("format" in field) answers[name] = FORMATS.get(String(field.format)) ?? "?";
    else answers[name] = "Talos of Crete";
  }
  return answers;
}

const FORMATS: ReadonlyMap<string, string> = new Map([
  ["email", "talos@example.com"],
  ["uri", "https://example.com/"],
  ["date", "2026-07-28"],
]);
