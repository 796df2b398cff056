import assert from "node:assert/strict";

import { connectAhead, ConnectionAhead } from "../../lib/cli/connect_ahead.ts";
import { TransportError } from "../../lib/transport/errors.ts";

const PEER = "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";

function listen(): Deno.TcpListener {
  return Deno.listen({ hostname: "127.0.0.1", port: 0 });
}

Deno.test("ConnectionAhead.take() gives the connection that was begun, once", async () => {
  using listener = listen();
  const address = { host: "127.0.0.1", port: listener.addr.port };
  using ahead = new ConnectionAhead(address);
  using begun = await listener.accept();
  using first = await ahead.take(address);
  await first.write(Uint8Array.of(7));
  const byte = new Uint8Array(1);
  await begun.read(byte);
  assert.deepEqual([...byte], [7]);
  using second = await ahead.take(address);
  assert.notEqual(second, first);
  (await listener.accept()).close();
});

Deno.test("ConnectionAhead.take() connects anew when another address is wanted", async () => {
  using listener = listen();
  using other = listen();
  using ahead = new ConnectionAhead({ host: "127.0.0.1", port: listener.addr.port });
  using transport = await ahead.take({ host: "127.0.0.1", port: other.addr.port });
  assert.equal(transport.path.remote, `127.0.0.1:${other.addr.port}`);
  (await other.accept()).close();
  using unused = await listener.accept();
  ahead[Symbol.dispose]();
  assert.equal(await unused.read(new Uint8Array(1)), null);
});

Deno.test("ConnectionAhead.take() throws when nothing listened, and connects anew the next time", async () => {
  const address = { host: "127.0.0.1", port: 0 };
  {
    using listener = listen();
    address.port = listener.addr.port;
  }
  using ahead = new ConnectionAhead(address);
  const refused = (error: unknown) => error instanceof TransportError && error.code === "refused";
  await assert.rejects(ahead.take(address), refused);
  await assert.rejects(ahead.take(address), refused);
});

Deno.test("connectAhead() begins nothing when the target has no address, or none that can be read", () => {
  assert.equal(connectAhead(PEER), null);
  assert.equal(connectAhead(`${PEER}@`), null);
  assert.equal(connectAhead(`${PEER}@127.0.0.1:0`), null);
  assert.equal(connectAhead(`${PEER}@::1`), null);
});
