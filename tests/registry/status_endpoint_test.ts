import assert from "node:assert/strict";
import { TransportError } from "../../lib/transport/errors.ts";
import { Metrics } from "../../registry/metrics.ts";
import { serveStatus } from "../../registry/status_endpoint.ts";

const HERE = { host: "127.0.0.1", port: 0 };

/** Returns the status and the text of an answer. */
async function get(port: number, path: string, method = "GET"): Promise<[number, string]> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, { method });
  return [response.status, await response.text()];
}

Deno.test("serveStatus() answers health, readiness and metrics", async () => {
  const metrics = new Metrics();
  metrics.gauge("one", "One.", () => 1);
  let why: string | null = null;
  await using status = serveStatus(HERE, { metrics, unready: () => Promise.resolve(why) });
  const { port } = status.address;
  assert.notEqual(port, 0);
  assert.deepEqual(await get(port, "/healthz"), [200, "ok\n"]);
  assert.deepEqual(await get(port, "/readyz"), [200, "ready\n"]);
  why = "draining";
  assert.deepEqual(await get(port, "/readyz"), [503, "draining\n"]);
  assert.deepEqual(await get(port, "/healthz"), [200, "ok\n"]);
  assert.deepEqual(await get(port, "/metrics"), [200, await metrics.text()]);
  assert.deepEqual(await get(port, "/metrics?x=1", "HEAD"), [200, ""]);
  assert.deepEqual(await get(port, "/"), [404, "there are /healthz, /readyz and /metrics\n"]);
  assert.deepEqual(await get(port, "/metrics", "POST"), [405, "GET only\n"]);
});

Deno.test("serveStatus() answers 500 when something fails, and goes on", async () => {
  const metrics = new Metrics();
  metrics.gauge("bad", "Fails.", () => Promise.reject(new Error("no disk")));
  const unready = () => Promise.resolve(null);
  await using status = serveStatus(HERE, { metrics, unready });
  assert.deepEqual(await get(status.address.port, "/metrics"), [500, "no disk\n"]);
  assert.deepEqual(await get(status.address.port, "/healthz"), [200, "ok\n"]);
});

Deno.test("serveStatus() says so when the port is taken", () => {
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = taken.addr;
  const sources = { metrics: new Metrics(), unready: () => Promise.resolve(null) };
  assert.throws(() => serveStatus({ host: "127.0.0.1", port }, sources), (error: unknown) => {
    assert.ok(error instanceof TransportError);
    assert.equal(error.code, "port_taken");
    assert.deepEqual(error.hints, ["choose another with --http-port"]);
    return true;
  });
});

Deno.test("serveStatus() ends when a client keeps its connection", async () => {
  const sources = { metrics: new Metrics(), unready: () => Promise.resolve(null) };
  const status = serveStatus(HERE, sources);
  using idle = await Deno.connect({ hostname: "127.0.0.1", port: status.address.port });
  await idle.write(new TextEncoder().encode("GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"));
  assert.ok(await idle.read(new Uint8Array(1024)) !== null);
  await status[Symbol.asyncDispose]();
  assert.equal(await idle.read(new Uint8Array(1024)), null);
});
