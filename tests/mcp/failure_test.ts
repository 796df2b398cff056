import assert from "node:assert/strict";

import { fromUtf8, utf8 } from "../../lib/bytes.ts";
import { CliError } from "../../lib/cli/errors.ts";
import { IdentityError } from "../../lib/identity/errors.ts";
import { failureReply, sessionEnded } from "../../lib/mcp/failure.ts";
import type { PendingCall } from "../../lib/mcp/pending.ts";
import { SessionError, type SessionErrorCode } from "../../lib/session/errors.ts";
import { TransportError } from "../../lib/transport/errors.ts";

const CALL: PendingCall = {
  idToken: utf8('"\\u0061"'),
  key: "s:a",
  method: "tools/call",
  name: "t",
  startedAt: 0,
};

function errorFor(error: unknown, handedOver: boolean, path?: string) {
  const reply = failureReply(error, {
    call: CALL,
    handedOver,
    ...(path === undefined ? {} : { path }),
  });
  assert.ok(fromUtf8(reply).startsWith('{"jsonrpc":"2.0","id":"\\u0061",'), "the id as it stood");
  return JSON.parse(fromUtf8(reply)).error;
}

Deno.test("failureReply() says what happened, how the host was reached and what to do next", () => {
  const error = new TransportError("refused", "Cannot connect to h:1: nothing listens there", {
    hints: ["on the host, `talos status`", "nc -vz h 1"],
  });
  assert.deepEqual(errorFor(error, false, "direct h:1"), {
    code: -32005,
    message: "Cannot connect to h:1: nothing listens there; the call was not run",
    data: {
      talos: "unreachable",
      path: "direct h:1",
      hint: ["on the host, `talos status`", "nc -vz h 1"],
      code: "refused",
      run: "no",
    },
  });
});

Deno.test("failureReply() says that the outcome is unknown when the call was handed over, whatever failed", () => {
  for (const code of ["connection_lost", "unauthorized", "service_failed", "protocol"] as const) {
    const { message, data } = errorFor(new SessionError(code, "It failed"), true);
    assert.equal(message, "It failed; whether the call was run is unknown", code);
    assert.equal(data.run, "unknown", code);
  }
  const { message, data } = errorFor(new Error("a fault of ours"), false);
  assert.equal(message, "a fault of ours; the call was not run");
  assert.deepEqual(data, { talos: "connection_lost_not_run", run: "no" });
});

Deno.test("failureReply() names each error as programs know it", () => {
  const named: [Error, boolean, string, number][] = [
    [new TransportError("unreachable", "x"), false, "unreachable", -32005],
    [new TransportError("name_unknown", "x"), false, "unreachable", -32005],
    [new TransportError("broken", "x"), false, "connection_lost_not_run", -32014],
    [new TransportError("broken", "x"), true, "connection_lost_outcome_unknown", -32015],
    [new SessionError("handshake_timeout", "x"), false, "unreachable", -32005],
    [new SessionError("unauthorized", "x"), false, "unauthorized", -32006],
    [new SessionError("blocked", "x"), false, "unauthorized", -32006],
    [new SessionError("handshake_failed", "x"), false, "wrong_key", -32007],
    [new SessionError("not_talos", "x"), false, "wrong_key", -32007],
    [new SessionError("version", "x"), false, "wrong_key", -32007],
    [new SessionError("clock", "x"), false, "clock_skew", -32008],
    [new SessionError("unknown_service", "x"), false, "unknown_service", -32009],
    [new IdentityError("wallet_missing", "x"), false, "wallet", -32010],
    [new IdentityError("wallet_locked", "x"), false, "wallet", -32010],
    [new IdentityError("wrong_passphrase", "x"), false, "wallet", -32010],
    [new SessionError("service_failed", "x"), true, "child_exited", -32011],
    [new SessionError("busy", "x"), false, "busy", -32016],
    [new SessionError("connection_lost", "x"), false, "connection_lost_not_run", -32014],
    [new SessionError("connection_lost", "x"), true, "connection_lost_outcome_unknown", -32015],
    [new SessionError("protocol", "x"), true, "connection_lost_outcome_unknown", -32015],
    [new SessionError("closed", "x"), false, "connection_lost_not_run", -32014],
    [new CliError("usage", "x"), false, "usage", -31999],
    [new CliError("no_address", "x"), false, "usage", -31999],
    [new IdentityError("peer_id_invalid", "x"), false, "usage", -31999],
    [new IdentityError("address_invalid", "x"), false, "usage", -31999],
    [new IdentityError("name_invalid", "x"), false, "usage", -31999],
    [new IdentityError("contact_unknown", "x"), false, "usage", -31999],
    [new IdentityError("database_corrupted", "x"), false, "wallet", -32010],
    [new Error("x"), true, "connection_lost_outcome_unknown", -32015],
  ];
  for (const [error, handedOver, name, number] of named) {
    const { code, data } = errorFor(error, handedOver);
    assert.deepEqual([data.talos, code], [name, number], `${error.name} ${data.code}`);
  }
});

Deno.test("sessionEnded() names why the host ended a session", () => {
  const cases: [string, SessionErrorCode][] = [
    ["unauthorized", "unauthorized"],
    ["child_exited", "service_failed"],
    ["command_not_found", "service_failed"],
    ["spawn_failed", "service_failed"],
    ["host_stopped", "connection_lost"],
    ["internal", "connection_lost"],
    ["done", "connection_lost"],
    ["whatever a later version says", "connection_lost"],
  ];
  for (const [code, expected] of cases) {
    const error = sessionEnded({ code, reason: "because" }, "z6MkHost");
    assert.equal(error.code, expected, code);
    assert.equal(error.message, "The host z6MkHost ended the session: because");
  }
  assert.equal(
    sessionEnded({ code: "done", reason: "" }, "z6MkHost").message,
    "The host z6MkHost ended the session: done",
  );
});
