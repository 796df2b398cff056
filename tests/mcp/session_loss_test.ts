import assert from "node:assert/strict";

import { McpError } from "../../lib/mcp/errors.ts";
import { EarlyDeaths, isCurable, type SessionEnd } from "../../lib/mcp/session_loss.ts";
import { SessionError, type SessionErrorCode } from "../../lib/session/errors.ts";
import { TransportError } from "../../lib/transport/errors.ts";

function end(code: SessionErrorCode, changes: Partial<SessionEnd> = {}): SessionEnd {
  return {
    error: new SessionError(code, "So it ended"),
    closeCode: undefined,
    lastedMs: 100,
    answered: false,
    isLater: true,
    ...changes,
  };
}

Deno.test("isCurable() tells what an agent survives", () => {
  for (const code of ["session_lost", "connection_lost"] as const) assert.ok(isCurable(end(code)));
  assert.ok(isCurable({ ...end("closed"), error: new TransportError("broken", "Broke") }));
  for (const closeCode of ["child_exited", "host_stopped", "internal"]) {
    assert.ok(isCurable(end("connection_lost", { closeCode })), closeCode);
  }
  assert.ok(isCurable(end("busy")));
  assert.ok(!isCurable(end("busy", { isLater: false })));
  assert.ok(isCurable(end("handshake_timeout")), "OPEN was given up, and the host may come back");
  for (const code of ["unauthorized", "unknown_service", "service_failed", "protocol"] as const) {
    assert.ok(!isCurable(end(code)), code);
  }
  for (const closeCode of ["unauthorized", "done", "command_not_found", "spawn_failed"]) {
    assert.ok(!isCurable(end("connection_lost", { closeCode })), closeCode);
  }
  assert.ok(!isCurable({ ...end("closed"), error: new Error("a fault of ours") }));
});

const DIED = end("service_failed", { closeCode: "child_exited" });

Deno.test("EarlyDeaths.add() says when three servers in a row died early and were of no use", () => {
  const deaths = new EarlyDeaths();
  assert.deepEqual([DIED, DIED, DIED].map((one) => deaths.add(one)), [false, false, true]);
});

Deno.test("EarlyDeaths.add() counts anew when a server was of use or lived for 10 s", () => {
  for (const change of [{ answered: true }, { lastedMs: 10_000 }]) {
    const deaths = new EarlyDeaths();
    const row = [DIED, DIED, { ...DIED, ...change }, DIED, DIED, DIED];
    assert.deepEqual(row.map((one) => deaths.add(one)), [false, false, false, false, false, true]);
  }
});

Deno.test("EarlyDeaths.add() counts no host that was restarted, but a server that never answers", () => {
  const deaths = new EarlyDeaths();
  const row = [DIED, end("session_lost"), DIED];
  assert.deepEqual(row.map((one) => deaths.add(one)), [false, false, false]);
  const error = new McpError("restoration_timeout", "Silent");
  assert.ok(deaths.add({ ...DIED, error, closeCode: undefined, lastedMs: 50_000 }));
});
