/**
 * An MCP server on stdio, made with `@modelcontextprotocol/server`, that has some of everything which
 * protocol revision 2026-07-28 knows; clients of the 2025 era are served from the same factory.
 *
 * Tasks are an extension there, for which the package has no runtime: their methods are written out here.
 * The change of a resource, of the lists and the end of the process are tools, so that a script decides
 * when they happen.
 */

import {
  acceptedContent,
  completable,
  createRequestStateCodec,
  inputRequired,
  inputResponse,
  McpServer,
  ResourceTemplate,
} from "@modelcontextprotocol/server";
import { serveStdio } from "@modelcontextprotocol/server/stdio";
import { z } from "zod";

/** The message of a question that the server takes back. */
const FORGOTTEN_QUESTION = "What was it?";
const SETTINGS_URI = "test://settings";
const LANGUAGES = ["go", "javascript", "python", "rust", "typescript"];
const LEVELS = ["debug", "info", "warning", "emergency"] as const;

const stateCodec = createRequestStateCodec<{ readonly step: "sign in"; readonly place: string }>({
  key: crypto.getRandomValues(new Uint8Array(32)),
  ttlSeconds: 600,
});

const TaskIdParams = z.object({ taskId: z.string() });
const Task = z.looseObject({ taskId: z.string(), status: z.string() });
const SearchParams = z.object({ query: z.string() });
const SearchResult = z.object({ found: z.array(z.string()) });

function textResult(text: string) {
  return { content: [{ type: "text" as const, text }] };
}

function makeServer(): McpServer {
  const server = new McpServer(
    { name: "talos-differential", title: "Every feature", version: "1.0.0" },
    {
      instructions: "For tests – not for work.",
      capabilities: {
        logging: {},
        tools: { listChanged: true },
        prompts: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        extensions: {
          "io.modelcontextprotocol/tasks": {},
          "org.talos/search": { fields: ["all"] },
        },
      },
      cacheHints: { "prompts/list": { ttlMs: 60_000, cacheScope: "public" } },
      requestState: { verify: stateCodec.verify },
    },
  );
  registerPlainTools(server);
  registerChangingTools(server);
  registerAskingTools(server);
  registerReversedTool(server);
  registerResources(server);
  registerPrompts(server);
  registerTasks(server);
  return server;
}

function registerPlainTools(server: McpServer): void {
  server.registerTool("echo", {
    title: "Echo",
    description: "Says the same",
    inputSchema: z.object({ text: z.string() }),
    annotations: { readOnlyHint: true },
  }, ({ text }) => textResult(text));
  server.registerTool("add", {
    inputSchema: z.object({ a: z.number(), b: z.number() }),
    outputSchema: z.object({ sum: z.number() }),
    _meta: { "org.talos/kind": "arithmetic" },
  }, ({ a, b }) => ({ ...textResult(`${a + b}`), structuredContent: { sum: a + b } }));
  server.registerTool("fail", {}, () => {
    throw new Error("it was meant to fail");
  });
  server.registerTool("log", {}, async (context) => {
    for (const level of LEVELS) await context.mcpReq.log(level, { said: level }, "fixture");
    return textResult("logged");
  });
  server.registerTool(
    "count",
    { inputSchema: z.object({ to: z.number() }) },
    async ({ to }, context) => {
      const progressToken = context.mcpReq._meta?.progressToken;
      for (let progress = 1; progress <= to && progressToken !== undefined; progress++) {
        await context.mcpReq.notify({
          method: "notifications/progress",
          params: { progressToken, progress, total: to, message: `counted to ${progress}` },
        });
      }
      return textResult(`counted to ${to}`);
    },
  );
  server.registerTool("wait", {}, async (context) => {
    const { signal, notify, _meta } = context.mcpReq;
    const cancelled = new Promise<void>((resolve) =>
      signal.addEventListener("abort", () => resolve(), { once: true })
    );
    const progressToken = _meta?.progressToken ?? "none";
    await notify({ method: "notifications/progress", params: { progressToken, progress: 1 } });
    await cancelled;
    return textResult("nobody waits for this");
  });
}

function registerChangingTools(server: McpServer): void {
  const hidden = server.registerTool("hidden", {}, () => textResult("here I am"));
  hidden.disable();
  server.registerTool("change", {}, async () => {
    if (hidden.enabled) hidden.disable();
    else hidden.enable();
    server.sendPromptListChanged();
    server.sendResourceListChanged();
    await server.server.sendResourceUpdated({ uri: SETTINGS_URI });
    await server.server.sendResourceUpdated({ uri: "test://nobody-subscribed" });
    return textResult("changed");
  });
  server.registerTool("leave", {}, () => {
    setTimeout(() => void handle.close(), 0); // behind the result
    return textResult("goodbye");
  });
}

const Confirmation = z.object({ sure: z.boolean().meta({ title: "Are you sure?" }) });

/** Tools that need something from the user, the model or the client before they can answer. */
function registerAskingTools(server: McpServer): void {
  const inputSchema = z.object({ place: z.string() });
  server.registerTool("deploy", { inputSchema }, async ({ place }, context) => {
    const { inputResponses, requestState } = context.mcpReq;
    const state = requestState<{ readonly place: string }>();
    if (state !== undefined) {
      const signIn = inputResponse(inputResponses, "sign in");
      const accepted = signIn.kind === "elicit" && signIn.action === "accept";
      return textResult(accepted ? `deployed to ${state.place}` : "not signed in");
    }
    const answer = inputResponse(inputResponses, "confirm");
    if (answer.kind === "elicit" && answer.action !== "accept") return textResult("not deployed");
    if (acceptedContent(inputResponses, "confirm", Confirmation)?.sure !== true) {
      const message = `Deploy to ${place}?`;
      const confirm = inputRequired.elicit({ message, requestedSchema: Confirmation });
      return inputRequired({ inputRequests: { confirm } });
    }
    const url = "https://example.com/sign-in";
    return inputRequired({
      inputRequests: { "sign in": inputRequired.elicitUrl({ message: "Sign in", url }) },
      requestState: await stateCodec.mint({ step: "sign in", place }),
    });
  });
  server.registerTool("consult", {}, (context) => {
    const { inputResponses } = context.mcpReq;
    const summary = inputResponse(inputResponses, "summary");
    const roots = inputResponse(inputResponses, "roots");
    if (summary.kind === "sampling" && roots.kind === "roots") {
      return textResult(JSON.stringify([summary, roots]));
    }
    return inputRequired({
      inputRequests: {
        summary: inputRequired.createMessage({
          messages: [{ role: "user", content: { type: "text", text: "Summarise – please" } }],
          maxTokens: 50,
        }),
        roots: inputRequired.listRoots(),
      },
    });
  });
}

/** What only servers of the 2025 era can do: ask by themselves, and no longer want to know. */
function registerReversedTool(server: McpServer): void {
  server.registerTool("turn-round", {}, async (context) => {
    await server.server.ping();
    const abort = new AbortController();
    const requestedSchema = { type: "object" as const, properties: {} };
    const asked = context.mcpReq.elicitInput(
      { mode: "form", message: FORGOTTEN_QUESTION, requestedSchema },
      { signal: abort.signal },
    );
    abort.abort("the server changed its mind");
    await asked.catch(() => {}); // as it must
    return textResult("never mind");
  });
}

function registerResources(server: McpServer): void {
  server.registerResource("settings", SETTINGS_URI, {
    title: "Settings",
    mimeType: "application/json",
    cacheHint: { ttlMs: 5_000, cacheScope: "private" },
  }, ({ href }) => ({
    contents: [
      { uri: href, mimeType: "application/json", text: '{"theme":"dark"}' },
      { uri: href, mimeType: "application/octet-stream", blob: new Uint8Array(300).toBase64() },
    ],
  }));
  const list = () => ({
    resources: LANGUAGES.map((name) => ({ uri: `test://language/${name}`, name })),
  });
  const complete = {
    name: (value: string) => LANGUAGES.filter((language) => language.startsWith(value)),
  };
  server.registerResource(
    "language",
    new ResourceTemplate("test://language/{name}", { list, complete }),
    { mimeType: "text/plain" },
    ({ href }, { name }) => ({ contents: [{ uri: href, text: `about ${name}` }] }),
  );
  server.registerResource("secret", "test://secret", {}, ({ href }, context) => {
    const { inputResponses } = context.mcpReq;
    if (acceptedContent(inputResponses, "confirm", Confirmation)?.sure === true) {
      return { contents: [{ uri: href, text: "42" }] };
    }
    const message = "Show it?";
    const confirm = inputRequired.elicit({ message, requestedSchema: Confirmation });
    return inputRequired({ inputRequests: { confirm } });
  });
}

function registerPrompts(server: McpServer): void {
  server.registerPrompt("review", {
    description: "Reviews code",
    argsSchema: z.object({
      language: completable(
        z.string().describe("Programming language"),
        (value) => LANGUAGES.filter((language) => language.startsWith(value)),
      ),
      tone: completable(
        z.string(),
        (value, context) => [`${value} as of ${context?.arguments?.["language"] ?? "any"}`],
      ).optional(),
    }),
  }, ({ language, tone }) => ({
    messages: [{
      role: "user" as const,
      content: { type: "text" as const, text: `Review this ${language} ${tone ?? "kindly"}` },
    }],
  }));
  server.registerPrompt("greet", { description: "Greets whoever it is" }, (context) => {
    const { inputResponses } = context.mcpReq;
    const requestedSchema = z.object({ name: z.string() });
    const who = acceptedContent(inputResponses, "who", requestedSchema);
    if (who === undefined) {
      const ask = inputRequired.elicit({ message: "Who are you?", requestedSchema });
      return inputRequired({ inputRequests: { who: ask } });
    }
    const content = { type: "text" as const, text: `Say hello to ${who.name}` };
    return { messages: [{ role: "assistant" as const, content }] };
  });
}

/** The tasks extension as far as a script can walk through it, and a method of nobody's specification. */
function registerTasks(server: McpServer): void {
  const tasks = new Map<string, z.infer<typeof Task>>();
  const stamp = () => new Date().toISOString();
  const known = (taskId: string) => {
    const task = tasks.get(taskId);
    if (task === undefined) throw new Error(`no task ${taskId}`);
    return task;
  };
  const change = (taskId: string, changes: Record<string, unknown>) => {
    tasks.set(taskId, { ...known(taskId), ...changes, lastUpdatedAt: stamp() });
  };
  server.registerTool("start", {}, () => {
    const taskId = crypto.randomUUID();
    const createdAt = stamp();
    const times = { createdAt, lastUpdatedAt: createdAt, ttlMs: 60_000, pollIntervalMs: 1_000 };
    const message = "Which colour?";
    const requestedSchema = z.object({ colour: z.string() });
    const inputRequests = { colour: inputRequired.elicit({ message, requestedSchema }) };
    tasks.set(taskId, { taskId, status: "input_required", ...times, inputRequests });
    return { ...textResult(taskId), structuredContent: { taskId } };
  });
  server.server.setRequestHandler(
    "tasks/get",
    { params: TaskIdParams, result: Task },
    ({ taskId }) => known(taskId),
  );
  server.server.setRequestHandler(
    "tasks/update",
    { params: TaskIdParams, result: z.looseObject({}) },
    async ({ taskId }, context) => {
      const result = textResult(JSON.stringify(context.mcpReq.inputResponses));
      change(taskId, { status: "completed", inputRequests: undefined, result });
      await context.mcpReq.notify({ method: "org.talos/taskChanged", params: { taskId } });
      return {};
    },
  );
  server.server.setRequestHandler(
    "tasks/cancel",
    { params: TaskIdParams, result: z.looseObject({}) },
    ({ taskId }) => {
      change(taskId, { status: "cancelled", inputRequests: undefined });
      return {};
    },
  );
  server.server.setRequestHandler(
    "org.talos/search",
    { params: SearchParams, result: SearchResult },
    async ({ query }, context) => {
      const params = { stage: "half", share: 0.5 };
      await context.mcpReq.notify({ method: "org.talos/searchProgress", params });
      return { found: [`${query} 1`, `${query} 2`] };
    },
  );
}

const handle = serveStdio(makeServer);
