import assert from "node:assert/strict";

import { bestAddress } from "../../lib/cli/own_address.ts";
import type { InterfaceAddress } from "../../lib/identity/ip_address.ts";

function addresses(...all: string[]): InterfaceAddress[] {
  return all.map((address) => ({ address, family: address.includes(":") ? "IPv6" : "IPv4" }));
}

Deno.test("bestAddress() takes IPv4 before IPv6", () => {
  assert.equal(bestAddress(addresses("127.0.0.1", "2001:db8::7", "192.0.2.7")), "192.0.2.7");
});

Deno.test("bestAddress() puts an IPv6 address into brackets", () => {
  assert.equal(bestAddress(addresses("::1", "fe80::1", "2001:db8::7")), "[2001:db8::7]");
});

Deno.test("bestAddress() is null when all addresses hold on this machine or link alone", () => {
  assert.equal(
    bestAddress(
      addresses("127.0.0.1", "127.0.1.1", "169.254.7.7", "0.0.0.0", "::1", "::", "fe80::1"),
    ),
    null,
  );
  assert.equal(bestAddress([]), null);
});
