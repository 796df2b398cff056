import assert from "node:assert/strict";

import { CliError } from "../../lib/cli/errors.ts";
import { EXIT_STATUS_MEANINGS, ExitStatus, exitStatusOf } from "../../lib/cli/exit_status.ts";
import { TalosError } from "../../lib/errors.ts";
import { IdentityError } from "../../lib/identity/errors.ts";
import { McpError } from "../../lib/mcp/errors.ts";
import { SessionError } from "../../lib/session/errors.ts";
import { TransportError } from "../../lib/transport/errors.ts";

Deno.test("ExitStatus has the numbers that scripts rely on", () => {
  assert.deepEqual(ExitStatus, {
    done: 0,
    failure: 1,
    usage: 2,
    peerNotFound: 3,
    unreachable: 4,
    handshake: 5,
    notPermitted: 6,
    corrupted: 7,
  });
  assert.deepEqual(EXIT_STATUS_MEANINGS.map(([status]) => status), [0, 1, 2, 3, 4, 5, 6, 7]);
});

Deno.test("exitStatusOf() gives an error's status by its code", () => {
  const statusOf = (error: TalosError) => exitStatusOf(error);
  assert.equal(statusOf(new CliError("usage", "")), 2);
  assert.equal(statusOf(new McpError("command_not_found", "")), 1);
  assert.equal(statusOf(new McpError("shell_syntax", "")), 2);
  assert.equal(statusOf(new IdentityError("contact_unknown", "")), 3);
  assert.equal(statusOf(new SessionError("unknown_service", "")), 3);
  assert.equal(statusOf(new TransportError("refused", "")), 4);
  assert.equal(statusOf(new TransportError("port_taken", "")), 1);
  assert.equal(statusOf(new SessionError("handshake_timeout", "")), 4);
  assert.equal(statusOf(new SessionError("handshake_failed", "")), 5);
  assert.equal(statusOf(new SessionError("clock", "")), 5);
  assert.equal(statusOf(new SessionError("unauthorized", "")), 6);
  assert.equal(statusOf(new IdentityError("wallet_corrupted", "")), 7);
  assert.equal(statusOf(new IdentityError("wallet_missing", "")), 1);
  assert.equal(statusOf(new IdentityError("wallet_locked", "")), 1);
  assert.equal(statusOf(new IdentityError("access_permissions", "")), 7);
});

Deno.test("exitStatusOf() gives 6 when Deno forbids something, and 1 for what nobody expected", () => {
  const forbidden = new Deno.errors.NotCapable("no");
  assert.equal(exitStatusOf(forbidden), 6);
  assert.equal(exitStatusOf(new IdentityError("home_unusable", "", { cause: forbidden })), 6);
  assert.equal(exitStatusOf(new TalosError("constructor", "")), 1);
  assert.equal(exitStatusOf(new TypeError("oops")), 1);
  assert.equal(exitStatusOf("text"), 1);
});
