import assert from "node:assert/strict";
import {
  listenOnAll,
  listenOnAllInterfaces,
  wildcardAddresses,
} from "../../lib/transport/all_interfaces.ts";
import { connectTcp, listenTcp } from "../../lib/transport/tcp.ts";
import { TransportError } from "../../lib/transport/errors.ts";

Deno.test("wildcardAddresses() takes both kinds of callers with one socket when the system does", () => {
  assert.deepEqual(wildcardAddresses("linux"), [["::"], ["0.0.0.0"]]);
  assert.deepEqual(wildcardAddresses("darwin"), [["::"], ["0.0.0.0"]]);
});

Deno.test("wildcardAddresses() takes two sockets when the system is windows", () => {
  assert.deepEqual(wildcardAddresses("windows"), [["0.0.0.0", "::"], ["0.0.0.0"]]);
});

Deno.test("listenOnAllInterfaces() hears callers of IPv4 and IPv6 when it listens here", async () => {
  using listener = listenOnAllInterfaces(Deno.build.os, 0);
  const { port } = listener.address;
  const arriving = listener[Symbol.asyncIterator]();
  for (const host of hasIpv6() ? ["127.0.0.1", "::1"] : ["127.0.0.1"]) {
    using _caller = await connectTcp({ host, port });
    const { value: callee, done } = await arriving.next();
    assert.equal(done, false);
    callee?.close();
  }
});

Deno.test("listenOnAll() hands out what arrives at any of its addresses when it has several", async () => {
  using listener = listenOnAll(LOOPBACKS, 0);
  const { port } = listener.address;
  const arriving = listener[Symbol.asyncIterator]();
  for (const host of [...LOOPBACKS, ...LOOPBACKS]) {
    using caller = await connectTcp({ host, port });
    const { value: callee } = await arriving.next();
    assert.ok(callee !== undefined);
    await callee.write(Uint8Array.of(7));
    callee.close();
    assert.equal(await caller.read(new Uint8Array(1)), 1);
  }
});

Deno.test("listenOnAll() ends when it is closed, and takes nobody any more", async () => {
  const listener = listenOnAll(LOOPBACKS, 0);
  const arriving = listener[Symbol.asyncIterator]();
  const next = arriving.next();
  listener.close();
  assert.equal((await next).done, true);
  await assert.rejects(
    connectTcp({ host: "127.0.0.1", port: listener.address.port }),
    { code: "refused" },
  );
});

Deno.test("listenOnAll() closes who waits when nobody takes him any more", async () => {
  const listener = listenOnAll(LOOPBACKS, 0);
  const { port } = listener.address;
  using first = await connectTcp({ host: "127.0.0.1", port });
  using second = await connectTcp({ host: "127.0.0.1", port });
  for await (const transport of listener) {
    transport.close();
    break;
  }
  assert.equal(await first.read(new Uint8Array(1)), null);
  assert.equal(await endOf(second), "ended");
});

Deno.test("listenOnAll() says port_taken and listens nowhere when one address is taken", () => {
  using taken = listenTcp({ host: "127.0.0.1", port: 0 });
  const { port } = taken.address;
  const other = hasIpv6() ? "::1" : "127.0.0.2";
  assert.throws(
    () => listenOnAll([other, "127.0.0.1"], port),
    (error: unknown) => error instanceof TransportError && error.code === "port_taken",
  );
  listenTcp({ host: other, port }).close(); // it is free again
});

/** Two addresses of this machine that need a socket each. */
const LOOPBACKS = hasIpv6() ? ["127.0.0.1", "::1"] : ["127.0.0.1", "127.0.0.2"];

function hasIpv6(): boolean {
  try {
    Deno.listen({ hostname: "::1", port: 0 }).close();
    return true;
  } catch {
    return false;
  }
}

async function endOf(transport: { read(into: Uint8Array<ArrayBuffer>): Promise<number | null> }) {
  try {
    return await transport.read(new Uint8Array(1)) === null ? "ended" : "bytes";
  } catch {
    return "ended"; // reset
  }
}
