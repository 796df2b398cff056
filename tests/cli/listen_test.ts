import assert from "node:assert/strict";

import { listenFrom } from "../../lib/cli/listen.ts";
import { DEFAULT_PEER_PORT } from "../../lib/identity/host_port.ts";
import { TransportError } from "../../lib/transport/errors.ts";

Deno.test("listenFrom() takes the default port, or the next free one when it is taken", () => {
  using first = listenFrom("127.0.0.1", undefined);
  using second = listenFrom("127.0.0.1", undefined);
  assert.ok(first.address.port >= DEFAULT_PEER_PORT, String(first.address.port));
  assert.ok(second.address.port > first.address.port, String(second.address.port));
});

Deno.test("listenFrom() takes any free port for 0", () => {
  using first = listenFrom("127.0.0.1", 0);
  using second = listenFrom("127.0.0.1", 0);
  assert.notEqual(first.address.port, second.address.port);
});

Deno.test("listenFrom() throws port_taken, with what to run, when the port was asked for", () => {
  using held = listenFrom("127.0.0.1", 0);
  const { port } = held.address;
  const error = thrownBy(() => listenFrom("127.0.0.1", port));
  assert.equal(error.code, "port_taken");
  assert.equal(error.hints[0], "leave --port out to take the next free one");
  assert.ok(error.hints[1]?.includes(String(port)));
});

Deno.test("listenFrom() throws listen_failed, and tries no other port, when the address is not ours", () => {
  for (const port of [undefined, 0]) {
    const error = thrownBy(() => listenFrom("192.0.2.77", port));
    assert.equal(error.code, "listen_failed");
    assert.deepEqual(error.hints, ["leave --host out to listen on all addresses of this machine"]);
  }
});

function thrownBy(action: () => unknown): TransportError {
  try {
    action();
  } catch (error) {
    assert.ok(error instanceof TransportError);
    return error;
  }
  assert.fail("nothing was thrown");
}
