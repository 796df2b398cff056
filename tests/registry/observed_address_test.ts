import assert from "node:assert/strict";
import { observedAddress } from "../../registry/observed_address.ts";

for (
  const [remote, address, isLocal] of [
    ["192.0.2.7:50000", "192.0.2.7", false],
    ["10.0.0.1:1", "10.0.0.1", false],
    ["127.0.0.1:50000", "127.0.0.1", true],
    ["[::1]:50000", "::1", true],
    ["[2001:db8::7]:50000", "2001:db8::7", false],
    ["[fe80::1%eth0]:50000", "fe80::1", false],
  ] as const
) {
  Deno.test(`observedAddress() is ${address} when a caller comes from ${remote}`, () => {
    const path = { kind: "direct", remote, source: "any" } as const;
    assert.deepEqual(observedAddress(path), { address, isLocal });
  });
}

Deno.test("observedAddress() is empty when the path is no TCP connection", () => {
  for (const kind of ["memory", "relay"] as const) {
    const path = { kind, remote: "127.0.0.1:1", source: "any" };
    assert.deepEqual(observedAddress(path), { address: "", isLocal: false });
  }
});
