import assert from "node:assert/strict";
import { REGISTRY_LIMITS } from "../../registry/limits.ts";
import { Quotas } from "../../registry/quotas.ts";
import { FakeClock } from "../session/fake_clock.ts";
import { ALICE, MALLORY } from "../session/peers.ts";

Deno.test("Quotas.request() takes nothing of an address when the peer has no more, and the other way", () => {
  const clock = new FakeClock();
  const quotas = new Quotas(clock, {
    ...REGISTRY_LIMITS,
    requestsPerPeer: { burst: 1, perMinute: 1 },
    requestsPerSource: { burst: 2, perMinute: 1 },
  });
  assert.equal(quotas.request(ALICE.peerId, "x"), 0);
  for (let i = 0; i < 9; i++) assert.equal(quotas.request(ALICE.peerId, "x"), 60_000);
  assert.equal(quotas.request(MALLORY.peerId, "x"), 0);
  assert.equal(quotas.request(MALLORY.peerId, "x"), 60_000);
});

Deno.test("Quotas.connect() bounds connections of an address alone", () => {
  const connects = { burst: 2, perMinute: 60 };
  const quotas = new Quotas(new FakeClock(), { ...REGISTRY_LIMITS, connects });
  const outcomes = ["a", "a", "a", "b"].map((source) => quotas.connect(source));
  assert.deepEqual(outcomes, [0, 0, 1_000, 0]);
});

Deno.test("Quotas.connect() bounds connections of an IPv6 /48 at 8 times the bound of a /64", () => {
  const connects = { burst: 2, perMinute: 60 };
  const quotas = new Quotas(new FakeClock(), { ...REGISTRY_LIMITS, connects });
  const from = (net: number) => quotas.connect(`2001:db8:1:${net.toString(16)}::/64`);
  for (let net = 0; net < 16; net++) assert.equal(from(net), 0);
  assert.equal(from(99), 125);
  assert.equal(quotas.connect("2001:db8:2:0::/64"), 0);
});

Deno.test("Quotas.request() bounds requests of an IPv6 /48 at 8 times the bound of a /64", () => {
  const requestsPerSource = { burst: 2, perMinute: 60 };
  const quotas = new Quotas(new FakeClock(), { ...REGISTRY_LIMITS, requestsPerSource });
  const from = (net: number, site = 1) =>
    quotas.request(ALICE.peerId, `2001:db8:${site}:${net.toString(16)}::/64`);
  for (let net = 0; net < 16; net++) assert.equal(from(net), 0);
  assert.equal(from(99), 125);
  assert.equal(from(99, 2), 0);
});

Deno.test("Quotas.list() counts entries of an address, and tells when there are as many again", () => {
  const clock = new FakeClock();
  const listedPerSource = { burst: 100, perMinute: 60 };
  const quotas = new Quotas(clock, { ...REGISTRY_LIMITS, listedPerSource });
  assert.equal(quotas.list("a", 90), 0);
  assert.equal(quotas.list("a", 20), 10_000);
  assert.equal(quotas.list("a", 10), 0);
  assert.equal(quotas.list("b", 100), 0);
});
