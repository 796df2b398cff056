import assert from "node:assert/strict";

import {
  type CreateMessageRequest,
  CreateMessageRequestSchema,
  type ElicitRequest,
  ElicitRequestSchema,
  EmptyResultSchema,
  ListRootsRequestSchema,
  type LoggingMessageNotification,
  LoggingMessageNotificationSchema,
  type Progress,
  type ProgressNotification,
  ProgressNotificationSchema,
  ResourceListChangedNotificationSchema,
  type Tool,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import { EVERYTHING_SERVER, FILESYSTEM_SERVER, prepareServer } from "../../scripts/mcp_servers.ts";
import { RawAgent, sdkAgent, soon, tunnel } from "./mcp_tunnel.ts";

/** The SDK's transport leaves a timer of 2 s behind when it closes. */
const UNSANITIZED = { sanitizeOps: false, sanitizeResources: false };

function textOf(result: unknown): string {
  return JSON.stringify(result);
}

Deno.test("the SDK's client uses server-filesystem through the tunnel", UNSANITIZED, async () => {
  const command = await prepareServer(FILESYSTEM_SERVER);
  await using there = await tunnel({ command: (folder) => [...command, folder] });
  const { folder } = there.sandbox;
  const flags = ["--verbose"];
  await using agent = await sdkAgent(there.agent, there.target, { flags });
  const { tools } = await agent.client.listTools();
  assert.ok(tools.some(({ name }: Tool) => name === "write_file"));
  const content = "gr\u00fc\u00dfe \ud83d\ude00\n\u2028".repeat(10_000);
  const path = `${folder}/notes.txt`;
  await agent.client.callTool({ name: "write_file", arguments: { path, content } });
  assert.equal(await Deno.readTextFile(path), content);
  const read = await agent.client.callTool({ name: "read_text_file", arguments: { path } });
  assert.ok(textOf(read).includes(JSON.stringify(content).slice(1, -1)));
  const outside = await agent.client.callTool({
    name: "read_text_file",
    arguments: { path: "/etc/passwd" },
  });
  assert.equal(outside.isError, true, "errors of the server are the server's");
  await assert.rejects(
    agent.client.request({ method: "no/such" }, EmptyResultSchema),
    {
      code: -32601,
    },
  );
});

Deno.test("what a real server still answers when the agent has closed its end arrives", async () => {
  const command = await prepareServer(FILESYSTEM_SERVER);
  await using there = await tunnel({ command: (folder) => [...command, folder] });
  await using agent = RawAgent.start(there.agent, there.target);
  const clientInfo = { name: "t", version: "1" };
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo };
  await agent.ask(1, "initialize", params);
  await agent.send({ method: "notifications/initialized" });
  await agent.send({ id: 2, method: "tools/list" });
  const { code, ms } = await agent.finish();
  const ids = agent.unread.map((line) => JSON.parse(line).id);
  assert.deepEqual([code, ids], [0, [2]], `${ms} ms; ${agent.stderr}`);
});

Deno.test(
  "the SDK's client and server-everything ask each other everything",
  UNSANITIZED,
  async () => {
    const command = await prepareServer(EVERYTHING_SERVER);
    await using there = await tunnel({ command: () => command });
    const logged = Promise.withResolvers<string>();
    const asked: string[] = [];
    await using agent = await sdkAgent(there.agent, there.target, {
      capabilities: { sampling: {}, elicitation: {}, roots: { listChanged: true } },
      prepare(client) {
        client.setRequestHandler(CreateMessageRequestSchema, ({ params }: CreateMessageRequest) => {
          asked.push(textOf(params.messages));
          return {
            model: "m",
            role: "assistant",
            content: { type: "text", text: "a sampled text" },
          };
        });
        client.setRequestHandler(ElicitRequestSchema, ({ params }: ElicitRequest) => {
          asked.push(params.message);
          return { action: "decline" };
        });
        client.setRequestHandler(ListRootsRequestSchema, () => ({
          roots: [{ uri: "file:///somewhere", name: "a root" }],
        }));
        client.setNotificationHandler(
          LoggingMessageNotificationSchema,
          ({ params }: LoggingMessageNotification) => {
            logged.resolve(params.level);
          },
        );
      },
    });
    const { client } = agent;
    const call = (name: string, args: Record<string, unknown> = {}) =>
      soon(client.callTool({ name, arguments: args }), name);
    assert.match(textOf(await call("echo", { message: "hello" })), /Echo: hello/);
    assert.match(
      textOf(await call("trigger-sampling-request", { prompt: "why" })),
      /a sampled text/,
    );
    assert.match(asked[0] ?? "", /why/);
    assert.match(textOf(await call("trigger-elicitation-request")), /declined/i);
    assert.equal(asked.length, 2);
    assert.match(textOf(await call("get-roots-list")), /file:\/\/\/somewhere/);
    const progress: number[] = [];
    await client.callTool(
      { name: "trigger-long-running-operation", arguments: { duration: 0.2, steps: 4 } },
      undefined,
      { onprogress: (step: Progress) => progress.push(step.progress) },
    );
    // The server writes the last progress and the result at once, with or without a tunnel, and the SDK's
    // client forgets who asked for progress when it reads a result, before it looks at what came with it.
    assert.deepEqual(progress.slice(0, 3), [1, 2, 3]);
    const started = Promise.withResolvers<void>();
    const abort = new AbortController();
    const cancelled = client.callTool(
      { name: "trigger-long-running-operation", arguments: { duration: 600, steps: 60_000 } },
      undefined,
      { onprogress: () => started.resolve(), signal: abort.signal },
    );
    await soon(started.promise, "the first progress");
    abort.abort("enough");
    await assert.rejects(cancelled, /enough/);
    assert.match(textOf(await call("echo", { message: "still here" })), /still here/);
    await client.setLoggingLevel("debug");
    await call("toggle-simulated-logging");
    assert.ok(await soon(logged.promise, "a log message"));
    assert.match(
      textOf(await client.readResource({ uri: "demo://resource/static/document/features.md" })),
      /text/,
    );
  },
);

Deno.test("notifications of the server reach the SDK's client", UNSANITIZED, async () => {
  await using there = await tunnel();
  const seen: string[] = [];
  const last = Promise.withResolvers<void>();
  await using agent = await sdkAgent(there.agent, there.target, {
    prepare(client) {
      client.setNotificationHandler(
        ToolListChangedNotificationSchema,
        () => void seen.push("tools"),
      );
      client.setNotificationHandler(
        ResourceListChangedNotificationSchema,
        () => void seen.push("resources"),
      );
      client.setNotificationHandler(
        ProgressNotificationSchema,
        ({ params }: ProgressNotification) => {
          seen.push(`progress ${params.progress}`);
          last.resolve();
        },
      );
    },
  });
  const lines = [
    { method: "notifications/tools/list_changed" },
    { method: "notifications/resources/list_changed" },
    { method: "notifications/progress", params: { progressToken: "p", progress: 0.5 } },
  ].map((line) => JSON.stringify({ jsonrpc: "2.0", ...line }) + "\n");
  await agent.client.notification({ method: "puppet/print", params: { text: lines.join("") } });
  await soon(last.promise, "the last notification");
  assert.deepEqual(seen, ["tools", "resources", "progress 0.5"]);
});
