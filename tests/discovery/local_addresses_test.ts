import assert from "node:assert/strict";
import { type NetworkFacts, publishedAddresses } from "../../lib/discovery/local_addresses.ts";

const LAPTOP = ["127.0.0.1", "::1", "192.168.1.5", "fe80::1%wlan0", "fd12::5", "2001:db8::5"];

const TABLE: readonly (readonly [what: string, facts: NetworkFacts, hosts: readonly string[]])[] = [
  [
    "global before private, no loopback and no link-local with a registry elsewhere",
    { interfaces: LAPTOP, registryIsLocal: false },
    ["2001:db8::5", "192.168.1.5", "fd12::5"],
  ],
  [
    "loopback last with a registry on this machine",
    { interfaces: LAPTOP, registryIsLocal: true },
    ["2001:db8::5", "192.168.1.5", "fd12::5", "127.0.0.1", "::1"],
  ],
  [
    "what the registry observed, behind our own global addresses",
    { interfaces: ["192.168.1.5", "2001:db8::5"], observed: "203.0.113.7", registryIsLocal: false },
    ["2001:db8::5", "203.0.113.7", "192.168.1.5"],
  ],
  [
    "no observed private address that no interface of ours has: the registry chose it",
    { interfaces: ["2001:db8::5"], observed: "10.0.0.9", registryIsLocal: false },
    ["2001:db8::5"],
  ],
  [
    "no observed loopback address that no interface of ours has",
    { interfaces: ["192.168.1.5"], observed: "127.0.0.9", registryIsLocal: true },
    ["192.168.1.5"],
  ],
  [
    "an address once, also where it was observed in its IPv4-mapped form",
    { interfaces: ["10.0.0.9"], observed: "::ffff:10.0.0.9", registryIsLocal: false },
    ["10.0.0.9"],
  ],
  [
    "the address that is listened on and no other",
    {
      interfaces: LAPTOP,
      observed: "203.0.113.7",
      registryIsLocal: false,
      listenHost: "192.168.1.5",
    },
    ["192.168.1.5"],
  ],
  [
    "nothing where loopback alone is listened on and the registry is elsewhere",
    { interfaces: LAPTOP, registryIsLocal: false, listenHost: "127.0.0.1" },
    [],
  ],
  [
    "nothing that no peer can have",
    {
      interfaces: ["0.0.0.0", "224.0.0.1", "ff02::1", "::", "169.254.7.7", "255.255.255.255"],
      observed: "",
      registryIsLocal: true,
    },
    [],
  ],
  [
    "at most 8, the best ones",
    {
      interfaces: [...Array.from({ length: 10 }, (_, i) => `10.0.0.${i + 1}`), "2001:db8::5"],
      registryIsLocal: false,
    },
    ["2001:db8::5", ...Array.from({ length: 7 }, (_, i) => `10.0.0.${i + 1}`)],
  ],
];

for (const [what, facts, hosts] of TABLE) {
  Deno.test(`publishedAddresses() names ${what}`, () => {
    assert.deepEqual(
      publishedAddresses(facts, 8766),
      hosts.map((host) => ({ host, port: 8766 })),
    );
  });
}
