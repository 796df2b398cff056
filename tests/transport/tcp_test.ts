import assert from "node:assert/strict";
import { connect } from "node:net";
import { fromUtf8, utf8 } from "../../lib/bytes.ts";
import { connectTcp, listenTcp, sourceOf, type TcpListener } from "../../lib/transport/tcp.ts";
import type { Transport } from "../../lib/transport/transport.ts";
import { FakeClock } from "../session/fake_clock.ts";

const LOOPBACK = { host: "127.0.0.1", port: 0 };

async function connected(listener: TcpListener): Promise<readonly [Transport, Transport]> {
  const accepting = listener[Symbol.asyncIterator]().next();
  const near = await connectTcp(listener.address);
  const { value: far } = await accepting;
  assert.ok(far !== undefined);
  return [near, far];
}

async function readToEnd(transport: Transport): Promise<string> {
  let text = "";
  const into = new Uint8Array(65_536);
  for (;;) {
    const count = await transport.read(into);
    if (count === null) return text;
    text += fromUtf8(into.subarray(0, count));
  }
}

Deno.test("connectTcp() and listenTcp() carry bytes both ways and name the path", async () => {
  using listener = listenTcp(LOOPBACK);
  assert.ok(listener.address.port > 0);
  const [near, far] = await connected(listener);
  using _near = near;
  using _far = far;
  assert.deepEqual(near.path, {
    kind: "direct",
    remote: `127.0.0.1:${listener.address.port}`,
    source: "127.0.0.1",
  });
  assert.equal(far.path.source, "127.0.0.1");
  await near.write(utf8("there"));
  await near.closeWrite();
  assert.equal(await readToEnd(far), "there");
  await far.write(utf8("back"));
  await far.closeWrite();
  assert.equal(await readToEnd(near), "back");
});

Deno.test("write() writes everything when it is more than a socket takes at once", async () => {
  using listener = listenTcp(LOOPBACK);
  const [near, far] = await connected(listener);
  using _near = near;
  using _far = far;
  const much = "x".repeat(16 * 1024 * 1024);
  const reading = readToEnd(far);
  await near.write(utf8(much));
  await near.closeWrite();
  assert.equal((await reading).length, much.length);
});

Deno.test("close() ends a pending read with null and a pending write with an error", async () => {
  using listener = listenTcp(LOOPBACK);
  const [near, far] = await connected(listener);
  using _far = far;
  const reading = near.read(new Uint8Array(1));
  const failing = assert.rejects(near.write(new Uint8Array(64 * 1024 * 1024)), { code: "broken" });
  near.close();
  near.close();
  assert.equal(await reading, null);
  await failing;
  assert.equal(await near.read(new Uint8Array(1)), null);
  await near.closeWrite();
});

Deno.test("read() and write() throw broken when the other end resets the connection", async () => {
  using listener = listenTcp(LOOPBACK);
  const accepting = listener[Symbol.asyncIterator]().next();
  const socket = connect(listener.address.port, listener.address.host);
  await new Promise((resolve) => socket.once("connect", resolve));
  const { value: far } = await accepting;
  assert.ok(far !== undefined);
  using _far = far;
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.resetAndDestroy();
  const broken = { code: "broken", message: `Lost the connection to ${far.path.remote}` };
  await assert.rejects(far.read(new Uint8Array(1)), broken);
  await assert.rejects(far.write(new Uint8Array(1)), broken);
  await far.closeWrite();
  await closed;
});

Deno.test("connectTcp() says refused when nothing listens", async () => {
  const listener = listenTcp(LOOPBACK);
  const { address } = listener;
  listener.close();
  await assert.rejects(connectTcp(address), {
    code: "refused",
    message:
      `Cannot connect to 127.0.0.1:${address.port}: nothing listens there (connection refused)`,
  });
});

Deno.test("connectTcp() says name_unknown when the name has no address", async () => {
  // RFC 6761: no resolver ever knows a name under .invalid.
  await assert.rejects(connectTcp({ host: "nowhere.invalid", port: 1 }), { code: "name_unknown" });
});

Deno.test("connectTcp() says unreachable when its signal aborts", async () => {
  using listener = listenTcp(LOOPBACK);
  await assert.rejects(connectTcp(listener.address, AbortSignal.abort()), {
    code: "unreachable",
    message: `Cannot connect to 127.0.0.1:${listener.address.port}: no answer in time`,
  });
});

Deno.test("listenTcp() says port_taken and listen_failed when it cannot listen", () => {
  using listener = listenTcp(LOOPBACK);
  assert.throws(() => listenTcp(listener.address), {
    code: "port_taken",
    message: `Cannot listen on 127.0.0.1:${listener.address.port}: the port is in use`,
  });
  // TEST-NET-1 (RFC 5737): never an address of this machine.
  assert.throws(() => listenTcp({ host: "192.0.2.1", port: 0 }), { code: "listen_failed" });
});

Deno.test("listenTcp() ends its iteration when it is closed", async () => {
  const listener = listenTcp(LOOPBACK);
  const next = listener[Symbol.asyncIterator]().next();
  listener.close();
  listener.close();
  assert.deepEqual(await next, { value: undefined, done: true });
});

Deno.test("listenTcp() goes on when accepting fails, as it does without file descriptors", async () => {
  const clock = new FakeClock();
  const real = Deno.listen;
  let failures = 2;
  try {
    Deno.listen = ((options: Deno.TcpListenOptions) => {
      const listener = real(options);
      const accept = listener.accept.bind(listener);
      listener.accept = () =>
        failures-- > 0 ? Promise.reject(new Error("Too many open files (os error 24)")) : accept();
      return listener;
    }) as typeof Deno.listen;
    using listener = listenTcp(LOOPBACK, clock);
    const accepting = listener[Symbol.asyncIterator]().next();
    using _near = await connectTcp(listener.address);
    await clock.advance(49);
    assert.equal(clock.timers, 1);
    await clock.advance(1);
    await clock.advance(50);
    const { value: far } = await accepting;
    assert.ok(far !== undefined);
    far.close();
  } finally {
    Deno.listen = real;
  }
});

Deno.test("sourceOf() counts IPv4 addresses singly, mapped ones like them, and IPv6 by its /64", () => {
  assert.equal(sourceOf("192.0.2.7"), "192.0.2.7");
  assert.equal(sourceOf("::ffff:192.0.2.7"), "192.0.2.7");
  assert.equal(sourceOf("::FFFF:192.0.2.7"), "192.0.2.7");
  assert.equal(sourceOf("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
  assert.equal(sourceOf("2001:db8:1:2::9"), "2001:db8:1:2::/64");
  assert.equal(sourceOf("2001:0db8:0001:0002::"), "2001:db8:1:2::/64");
  assert.equal(sourceOf("2001:db8::1"), "2001:db8:0:0::/64");
  assert.equal(sourceOf("::1"), "0:0:0:0::/64");
  assert.equal(sourceOf("::"), "0:0:0:0::/64");
  assert.equal(sourceOf("1::2:3:4:5:6"), "1:0:0:2::/64");
  assert.equal(sourceOf("fe80::1%eth0"), "fe80:0:0:0::/64");
});
