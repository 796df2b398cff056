import assert from "node:assert/strict";
import type { InterfaceAddress } from "../../lib/identity/ip_address.ts";
import { parsePeerId } from "../../lib/identity/peer_id.ts";
import { reachableAs, reachableHosts } from "../../registry/reachable.ts";

const LOOPBACK: readonly InterfaceAddress[] = [
  { family: "IPv4", address: "127.0.0.1" },
  { family: "IPv6", address: "::1" },
];
const MACHINE: readonly InterfaceAddress[] = [
  ...LOOPBACK,
  { family: "IPv4", address: "192.0.2.7" },
  { family: "IPv6", address: "2001:db8::7" },
  { family: "IPv6", address: "fe80::1" },
  { family: "IPv4", address: "169.254.1.2" },
];

Deno.test("reachableHosts() names what means something elsewhere when it listens everywhere", () => {
  assert.deepEqual(reachableHosts(undefined, MACHINE), ["192.0.2.7", "2001:db8::7"]);
  assert.deepEqual(reachableHosts("::", MACHINE), ["192.0.2.7", "2001:db8::7"]);
  assert.deepEqual(reachableHosts("0.0.0.0", MACHINE), ["192.0.2.7"]);
});

Deno.test("reachableHosts() names the address that was asked for when there is one", () => {
  assert.deepEqual(reachableHosts("127.0.0.1", MACHINE), ["127.0.0.1"]);
  assert.deepEqual(reachableHosts("registry.example", MACHINE), ["registry.example"]);
});

Deno.test("reachableHosts() names loopback when the machine has nothing else", () => {
  assert.deepEqual(reachableHosts(undefined, LOOPBACK), ["127.0.0.1"]);
  assert.deepEqual(reachableHosts("::", [{ family: "IPv6", address: "::1" }]), ["::1"]);
});

Deno.test("reachableAs() writes IPv6 addresses in brackets", () => {
  const peer = parsePeerId("z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw");
  assert.deepEqual(reachableAs(peer, ["192.0.2.7", "2001:db8::7"], 8765), [
    `${peer}@192.0.2.7:8765`,
    `${peer}@[2001:db8::7]:8765`,
  ]);
});
