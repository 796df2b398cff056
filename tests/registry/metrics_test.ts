import assert from "node:assert/strict";
import { Metrics } from "../../registry/metrics.ts";
import { FakeClock } from "../session/fake_clock.ts";
import { ALICE, failure, MALLORY } from "../session/peers.ts";
import { instanceOf, signedEndpoint } from "./raw_client.ts";
import { registryAt } from "./test_registry.ts";

Deno.test("Metrics.text() is what Prometheus reads", async () => {
  const metrics = new Metrics();
  const requests = metrics.counter("requests_total", "Requests.", [{ op: "a", outcome: "ok" }]);
  const bytes = metrics.counter("bytes_total", "Bytes.", [{}]);
  metrics.counter("never_total", "Nothing yet.");
  metrics.gauge("info", "Escapes.", () => 1, { version: 'a"b\\c\nd' });
  metrics.gauge("later", "Asked for.", () => Promise.resolve(2.5));
  requests.add({ op: "a", outcome: "ok" });
  requests.add({ op: "b", outcome: "stale" }, 2);
  bytes.add({}, 2 ** 40);
  assert.equal(requests.value({ op: "b", outcome: "stale" }), 2);
  assert.equal(requests.value({ op: "c", outcome: "ok" }), 0);
  assert.equal(
    await metrics.text(),
    `# HELP requests_total Requests.
# TYPE requests_total counter
requests_total{op="a",outcome="ok"} 1
requests_total{op="b",outcome="stale"} 2
# HELP bytes_total Bytes.
# TYPE bytes_total counter
bytes_total 1099511627776
# HELP never_total Nothing yet.
# TYPE never_total counter
# HELP info Escapes.
# TYPE info gauge
info{version="a\\"b\\\\c\\nd"} 1
# HELP later Asked for.
# TYPE later gauge
later 2.5
`,
  );
});

Deno.test("RegistryMetrics counts connections by how they began, requests by how they ended, and what there is", async () => {
  const limits = { connectionsPerSource: 2 };
  const clock = new FakeClock();
  await using registry = registryAt(clock, { limits });
  using alice = await registry.enter(ALICE);
  await alice.ask({ op: "register", name: "Alice", unlisted: false });
  await alice.ask({ op: "publish", ...signedEndpoint(ALICE, { seq: 2 }) });
  await alice.refused({ op: "publish", ...signedEndpoint(ALICE) }, "stale");
  using _other = await registry.enter(ALICE, { instance: instanceOf("other") });
  await failure(registry.connect(MALLORY), "busy");
  {
    using who = registry.reach();
    await who.write(new TextEncoder().encode("TALOS\x01\x02\x00"));
    await who.closeWrite();
    while (await who.read(new Uint8Array(64)) !== null);
    using http = registry.reach();
    await http.write(new TextEncoder().encode("GET / HT"));
    assert.equal(await http.read(new Uint8Array(64)), null);
  }
  await clock.advance(0);
  const lines = new Set((await registry.registry.metrics.all.text()).split("\n"));
  for (
    const line of [
      'talos_registry_connections_total{outcome="ok"} 2',
      'talos_registry_connections_total{outcome="busy"} 1',
      'talos_registry_connections_total{outcome="who_are_you"} 1',
      'talos_registry_connections_total{outcome="other"} 1',
      'talos_registry_connections_total{outcome="clock"} 0',
      'talos_registry_requests_total{op="hello",outcome="ok"} 2',
      'talos_registry_requests_total{op="publish",outcome="ok"} 1',
      'talos_registry_requests_total{op="publish",outcome="stale"} 1',
      'talos_registry_info{version="0.1.0"} 1',
      "talos_registry_connections 2",
      "talos_registry_half_open_connections 0",
      "talos_registry_peers_online 1",
      "talos_registry_registrations 1",
      "talos_registry_records 1",
      "talos_registry_draining 0",
    ]
  ) assert.ok(lines.has(line), `${line}\nis not in\n${[...lines].join("\n")}`);
});
