import assert from "node:assert/strict";
import { isIpLiteral, isRoutable, scopeOf } from "../../lib/identity/ip_address.ts";

const SCOPES = {
  global: [
    "1.1.1.1",
    "8.8.8.8",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "192.0.2.7",
    "192.167.255.255",
    "192.169.0.0",
    "203.0.113.7",
    "223.255.255.255",
    "2001:db8::7",
    "2606:4700:4700::1111",
    "fe00::1",
    "fec0::1",
    "fbff::1",
    "::2:0",
    "1::",
    "::ffff:8.8.8.8",
    "::ffff:808:808",
    "64:ff9b::8.8.8.8",
  ],
  private: [
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.168.0.0",
    "192.168.255.255",
    "fc00::",
    "fd12:3456:789a::1",
    "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
    "::ffff:10.0.0.1",
    "::FFFF:192.168.1.1",
  ],
  link_local: [
    "169.254.0.0",
    "169.254.255.255",
    "fe80::",
    "fe80::1",
    "febf:ffff::1",
    "::ffff:169.254.1.1",
  ],
  loopback: [
    "127.0.0.0",
    "127.0.0.1",
    "127.255.255.255",
    "::1",
    "0:0:0:0:0:0:0:1",
    "0000:0000:0000:0000:0000:0000:0000:0001",
    "::ffff:127.0.0.1",
    "::ffff:7f00:1",
    "0:0:0:0:0:ffff:127.1.2.3",
  ],
  unusable: [
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "0:0:0:0:0:0:0:0",
    "::2",
    "::7f",
    "ff02::1",
    "ff0e::1",
    "ff00::",
    "ffff::1",
    "::ffff:0.0.0.0",
    "::ffff:224.0.0.1",
  ],
} as const;

for (const [scope, addresses] of Object.entries(SCOPES)) {
  for (const address of addresses) {
    Deno.test(`scopeOf() is ${scope} when the address is ${address}`, () => {
      assert.equal(scopeOf(address), scope);
      assert.equal(isIpLiteral(address), true);
      assert.equal(isRoutable(address), scope === "global" || scope === "private");
    });
  }
}

for (
  const text of [
    "",
    "localhost",
    "example.org",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "1.2.3.04",
    "01.2.3.4",
    "1.2.3.4.",
    ".1.2.3.4",
    "1.2.3.4:80",
    "127.1",
    "0x7f000001",
    "0x7f.0.0.1",
    "2130706433",
    " 1.2.3.4",
    "1.2.3.4\n",
    "[::1]",
    "[::1]:80",
    "::1%lo",
    "fe80::1%eth0",
    "fe80::%1",
    "::1 ",
    ":",
    ":::",
    "1::2::3",
    "12345::",
    "g::1",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "::1.2.3",
    "::1.2.3.256",
    "1.2.3.4::",
    "::1/64",
    "::1]@evil",
    "１.２.３.４",
  ]
) {
  Deno.test(`isIpLiteral() says no when the text is ${JSON.stringify(text)}`, () => {
    assert.equal(isIpLiteral(text), false);
    assert.equal(scopeOf(text), "unusable");
    assert.equal(isRoutable(text), false);
  });
}
