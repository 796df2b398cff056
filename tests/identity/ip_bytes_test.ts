import assert from "node:assert/strict";

import { ipBytes, ipText } from "../../lib/identity/ip_bytes.ts";

const ADDRESSES: Record<string, string> = {
  "0.0.0.0": "00000000",
  "192.0.2.7": "c0000207",
  "::": "00000000000000000000000000000000",
  "::1": "00000000000000000000000000000001",
  "2001:db8::7": "20010db8000000000000000000000007",
  "fd00:1:2:3:4:5:6:7": "fd000001000200030004000500060007",
  "1::": "00010000000000000000000000000000",
};

Deno.test("ipBytes() and ipText() are each other's inverse", () => {
  for (const [text, hex] of Object.entries(ADDRESSES)) {
    assert.equal(ipBytes(text)?.toHex(), hex);
    assert.equal(ipText(Uint8Array.fromHex(hex)), text);
  }
});

Deno.test("ipBytes() takes every way to write an IPv6 address", () => {
  assert.equal(ipBytes("2001:0DB8:0:0:0::7")?.toHex(), "20010db8000000000000000000000007");
  assert.equal(ipBytes("::ffff:192.0.2.7")?.toHex(), "00000000000000000000ffffc0000207");
});

Deno.test("ipBytes() returns null for what is no IP literal", () => {
  for (const text of ["", "localhost", "1.2.3", "fe80::1%eth0", "[::1]", "256.1.1.1"]) {
    assert.equal(ipBytes(text), null, text);
  }
});
