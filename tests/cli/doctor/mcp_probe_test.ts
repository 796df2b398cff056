import assert from "node:assert/strict";

import { fromUtf8, utf8 } from "../../../lib/bytes.ts";
import { probeServer } from "../../../lib/cli/doctor/mcp_probe.ts";

type Request = Record<string, unknown>;

/** A server that answers each request with what `answer` gives: lines, or null for its end. */
function server(answer: (request: Request) => readonly object[] | null) {
  const waiting: (object | null)[] = [];
  const asked: Request[] = [];
  return {
    asked,
    send(message: Uint8Array<ArrayBuffer>) {
      const request: Request = JSON.parse(fromUtf8(message));
      asked.push(request);
      if (request["id"] !== undefined) waiting.push(...(answer(request) ?? [null]));
      return Promise.resolve();
    },
    receive() {
      const next = waiting.shift();
      if (next === undefined) assert.fail("something is waited for that never comes");
      return Promise.resolve(next === null ? null : utf8(JSON.stringify(next)));
    },
  };
}

/** A clock that is a second later each time. */
function ticking(): () => number {
  let now = 0;
  return () => now += 1000;
}

const INITIALIZED = {
  serverInfo: { name: "files\u001b[2J", version: "1.2" },
  capabilities: { tools: {} },
};

Deno.test("probeServer() counts the tools of every page and passes over what it did not ask for", async () => {
  const there = server(({ id, method, params }) => {
    if (method === "initialize") {
      return [
        { id, method: "ping", result: { serverInfo: { name: "none" } } },
        { method: "notifications/message" },
        { id: 99, result: {} },
        {
          id,
          result: INITIALIZED,
        },
      ];
    }
    // A request of the server's own may have the same id.
    if (method === "ping") {
      return [{ id, method: "roots/list" }, {
        id,
        error: { code: -32601, message: "no such method" },
      }];
    }
    const { cursor } = params as { cursor?: string };
    return cursor === undefined
      ? [{ id, result: { tools: [1, 2], nextCursor: "more" } }]
      : [{ id, result: { tools: [3] } }];
  });
  assert.deepEqual(await probeServer(there, ticking(), () => undefined), {
    name: "files\ufffd[2J",
    version: "1.2",
    tools: 3,
    initializeMs: 1000,
    roundTripMs: 1000,
  });
  assert.deepEqual(there.asked.map(({ method }) => method), [
    "initialize",
    "notifications/initialized",
    "ping",
    "tools/list",
    "tools/list",
  ]);
});

Deno.test("probeServer() asks for no tools when the server has none", async () => {
  const there = server(({ id }) => [{ id, result: {} }]);
  const { tools, name } = await probeServer(there, ticking(), () => undefined);
  assert.deepEqual([tools, name], [0, "?"]);
  assert.equal(there.asked.length, 3);
});

Deno.test("probeServer() throws why the server ended, or what it refuses", async () => {
  await assert.rejects(probeServer(server(() => null), ticking(), () => "exit status 3"), {
    code: "service_failed",
    message: "The server ended before it answered: exit status 3",
  });
  const refusing = server(({ id }) => [{ id, error: { code: 1, message: "no\u0007" } }]);
  await assert.rejects(probeServer(refusing, ticking(), () => undefined), {
    code: "service_failed",
    message: "The server refuses initialize: no\ufffd",
  });
});
