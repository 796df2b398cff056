import assert from "node:assert/strict";
import { sourceOf } from "../../lib/transport/tcp.ts";
import { isLoopbackSource, siteOf } from "../../registry/site.ts";

Deno.test("siteOf() returns the /48 when a source is an IPv6 /64", () => {
  for (
    const [address, site] of [
      ["2001:db8:1:2:3:4:5:6", "2001:db8:1::/48"],
      ["2001:0DB8:0001:ffff::1", "2001:db8:1::/48"],
      ["2001:db8::7", "2001:db8:0::/48"],
      ["::1", "0:0:0::/48"],
      ["fe80::1%eth0", "fe80:0:0::/48"],
    ] as const
  ) {
    assert.equal(siteOf(sourceOf(address)), site, address);
  }
});

Deno.test("siteOf() is null when a source is of another kind", () => {
  for (const source of [sourceOf("192.0.2.7"), sourceOf("::ffff:192.0.2.7"), "memory", ""]) {
    assert.equal(siteOf(source), null, source);
  }
});

Deno.test("isLoopbackSource() is true of this machine alone", () => {
  const sources = ["127.0.0.1", "127.8.8.8", "0:0:0:0::/64", "192.0.2.1", "2001:db8:0:0::/64", "x"];
  assert.deepEqual(sources.map(isLoopbackSource), [true, true, true, false, false, false]);
});
