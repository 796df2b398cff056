import assert from "node:assert/strict";
import { ErrorCode, JSONRPCMessageSchema } from "@modelcontextprotocol/sdk/types.js";
import { fromUtf8, utf8 } from "../../lib/bytes.ts";
import { errorReply, RPC_ERRORS, talosErrorReply } from "../../lib/mcp/jsonrpc.ts";
import { scanLine } from "../../lib/mcp/scan.ts";

Deno.test("RPC_ERRORS has these numbers and no others", () => {
  assert.deepEqual(RPC_ERRORS, {
    unreachable: -32005,
    unauthorized: -32006,
    wrong_key: -32007,
    clock_skew: -32008,
    unknown_service: -32009,
    wallet: -32010,
    child_exited: -32011,
    message_too_large: -32012,
    refused_line: -32013,
    connection_lost_not_run: -32014,
    connection_lost_outcome_unknown: -32015,
    busy: -32016,
    not_permitted: -32017,
    tool_changed: -32018,
    limit_reached: -32019,
    usage: -31999,
  });
});

Deno.test("RPC_ERRORS takes no number that the MCP SDK or MCP itself uses", () => {
  const sdk = Object.values(ErrorCode).filter((code) => typeof code === "number");
  assert.ok(sdk.length >= 8);
  const taken = new Set([...sdk, -32000, -32001, -32002, -32003, -32004, -32042]);
  for (const code of Object.values(RPC_ERRORS)) {
    assert.ok(!taken.has(code), `${code}`);
    assert.ok(code >= -32019, `${code} is MCP's own`);
  }
  assert.equal(new Set(Object.values(RPC_ERRORS)).size, Object.keys(RPC_ERRORS).length);
});

Deno.test("errorReply() writes one line that holds the id as it stood", () => {
  const reply = errorReply(utf8("1.0"), -32601, "No\nsuch method", { talos: "unknown_method" });
  assert.equal(
    fromUtf8(reply),
    '{"jsonrpc":"2.0","id":1.0,"error":{"code":-32601,"message":"No\\nsuch method",' +
      '"data":{"talos":"unknown_method"}}}',
  );
});

Deno.test("errorReply() leaves the id out when it is not known, as the MCP SDK wants it", () => {
  const reply = errorReply(null, -32603, "x", { talos: "internal" });
  assert.equal(
    fromUtf8(reply),
    '{"jsonrpc":"2.0","error":{"code":-32603,"message":"x","data":{"talos":"internal"}}}',
  );
  assert.ok(JSONRPCMessageSchema.safeParse(JSON.parse(fromUtf8(reply))).success);
  const withNull = { jsonrpc: "2.0", id: null, error: { code: 1, message: "x" } };
  assert.ok(!JSONRPCMessageSchema.safeParse(withNull).success);
});

Deno.test("talosErrorReply() fills in the code and the name when it is given an error by name", () => {
  const reply = talosErrorReply(utf8('"a\\u0062"'), "unreachable", "Cannot reach the host", {
    path: "relay",
    hint: ["talos doctor"],
  });
  assert.equal(
    fromUtf8(reply),
    '{"jsonrpc":"2.0","id":"a\\u0062","error":{"code":-32005,"message":"Cannot reach the host",' +
      '"data":{"talos":"unreachable","path":"relay","hint":["talos doctor"]}}}',
  );
});

Deno.test("errorReply() makes lines that pass the scanner in both directions, whatever they say", () => {
  const texts = ["", "\r\n\0\x1b", "\u2028\u2029\u0085", '"\\', "\ud800", "😀", "\ufeff"];
  for (const text of texts) {
    for (const id of [null, utf8("7"), utf8('"x"')]) {
      const reply = talosErrorReply(id, "busy", text, { hint: [text], detail: { deep: [text] } });
      assert.ok(!/[\r\n\0\u0085\u2028\u2029]/.test(fromUtf8(reply)), JSON.stringify(text));
      const scanned = scanLine(reply, "towards_agent");
      assert.deepEqual(
        [scanned.kind, scanned.kind === "response" && scanned.isError],
        ["response", true],
      );
      if (text !== "\ud800") assert.equal(scanLine(reply, "towards_server").kind, "response");
      const parsed = JSON.parse(fromUtf8(reply));
      assert.equal(parsed.error.message, text);
      assert.ok(JSONRPCMessageSchema.safeParse(parsed).success);
    }
  }
});

Deno.test("errorReply() refuses a code when it is no whole number", () => {
  for (const code of [NaN, 1.5, Infinity]) {
    assert.throws(() => errorReply(null, code, "x", { talos: "x" }), RangeError);
  }
});
