import assert from "node:assert/strict";

import {
  fittedTicket,
  type NamedAddress,
  registryElsewhere,
  ticketAddresses,
} from "../../lib/cli/ticket_places.ts";
import { formatHostPort } from "../../lib/identity/host_port.ts";
import { mcpService, parseServerName } from "../../lib/identity/names.ts";
import { decodeTicket, type Ticket } from "../../lib/identity/ticket.ts";
import { samplePeer } from "../identity/temporary_home.ts";

function here(...addresses: readonly [name: string, address: string][]): NamedAddress[] {
  return addresses.map(([name, address]) => ({
    name,
    address,
    family: address.includes(":") ? "IPv6" : "IPv4",
  }));
}

function found(interfaces: readonly NamedAddress[], host?: string): string[] {
  return ticketAddresses(interfaces, 8766, host).map(formatHostPort);
}

const LAPTOP = here(
  ["lo", "127.0.0.1"],
  ["lo", "::1"],
  ["docker0", "172.17.0.1"],
  ["br-3f2a", "172.18.0.1"],
  ["wlan0", "192.168.1.20"],
  ["wlan0", "fd00::20"],
  ["wlan0", "2001:db8::20"],
  ["wlan0", "fe80::20"],
  ["tailscale0", "100.64.0.7"],
);

Deno.test("ticketAddresses() names three, one of each kind, IPv4 first, and none of containers", () => {
  assert.deepEqual(found(LAPTOP), [
    "192.168.1.20:8766",
    "[2001:db8::20]:8766",
    "[fd00::20]:8766",
  ]);
  assert.deepEqual(found(here(["eth0", "10.0.0.1"], ["tun0", "10.8.0.2"])), [
    "10.0.0.1:8766",
    "10.8.0.2:8766",
  ]);
});

Deno.test("ticketAddresses() names what is listened on alone", () => {
  assert.deepEqual(found(LAPTOP, "127.0.0.1"), ["127.0.0.1:8766"]);
  assert.deepEqual(found(LAPTOP, "host.example"), ["host.example:8766"]);
  assert.deepEqual(found(LAPTOP, "0.0.0.0"), ["192.168.1.20:8766", "100.64.0.7:8766"]);
  assert.equal(found(LAPTOP, "::").length, 3);
});

Deno.test("ticketAddresses() names a container's network, or this machine, where nothing else is", () => {
  assert.deepEqual(found(here(["lo", "127.0.0.1"], ["docker0", "172.17.0.1"])), [
    "172.17.0.1:8766",
  ]);
  assert.deepEqual(found(here(["lo", "127.0.0.1"])), ["127.0.0.1:8766"]);
  assert.deepEqual(found([]), []);
});

Deno.test("registryElsewhere() names this machine's address in place of localhost", () => {
  const own = [{ host: "192.168.1.20", port: 8766 }];
  const elsewhere = (host: string, addresses = own) =>
    registryElsewhere({ host, port: 8765 }, addresses).host;
  assert.equal(elsewhere("localhost"), "192.168.1.20");
  assert.equal(elsewhere("127.0.0.1"), "192.168.1.20");
  assert.equal(elsewhere("::1"), "192.168.1.20");
  assert.equal(elsewhere("registry.example"), "registry.example");
  assert.equal(elsewhere("127.0.0.1", [{ host: "127.0.0.1", port: 1 }]), "127.0.0.1");
  assert.equal(elsewhere("localhost", []), "localhost");
});

const WANTED: Ticket = {
  host: samplePeer(1),
  service: mcpService(parseServerName("default")),
  secret: new Uint8Array(16).fill(1),
  expires: 1_800_000_000_000,
  registry: { id: samplePeer(2), host: "198.51.100.9", port: 8765 },
  addresses: ["192.0.2.1", "192.0.2.2", "192.0.2.3"].map((host) => ({ host, port: 8766 })),
};

Deno.test("fittedTicket() keeps the token and drops addresses, the last first", () => {
  const kept = (token?: string) => {
    const { text, ticket } = fittedTicket({ ...WANTED, ...(token === undefined ? {} : { token }) });
    assert.ok(text.length < 200);
    assert.deepEqual(decodeTicket(text), ticket);
    return [ticket.addresses.length, ticket.token?.length];
  };
  assert.deepEqual(kept(), [3, undefined]);
  assert.deepEqual(kept("t".repeat(22)), [3, 22]);
  assert.deepEqual(kept("t".repeat(32)), [1, 32]);
  assert.deepEqual(kept("t".repeat(44)), [0, 44]);
  assert.deepEqual(kept("t".repeat(64)), [3, undefined], "a token that is too long is left out");
});

Deno.test("fittedTicket() throws ticket_too_long when a long name leaves no room", () => {
  const registry = { id: samplePeer(2), host: `${"r".repeat(60)}.example`, port: 8765 };
  assert.throws(() => fittedTicket({ ...WANTED, registry }), { code: "ticket_too_long" });
});
