/** The audit of the wire, with a few secrets. A thousand take ten seconds: `scripts/wire_audit.ts`. */

import assert from "node:assert/strict";
import { auditWire, passed } from "../../scripts/wire_audit.ts";
import { PROXY, TCPDUMP, whyNoTcpdump } from "../../scripts/wire_recorder.ts";

const SECRETS = 24;
const whyNot = await whyNoTcpdump();

for (const recorder of [TCPDUMP, PROXY]) {
  const skipped = recorder === TCPDUMP ? whyNot : null;
  Deno.test({
    name: `auditWire() finds all secrets in a plain pipe and none on Talos's ports with ${
      recorder.name === "proxy" ? "a proxy" : "tcpdump"
    }${skipped === null ? "" : ` (skipped: ${skipped})`}`,
    ignore: skipped !== null,
    async fn() {
      const audit = await auditWire(SECRETS, recorder);
      assert.equal(audit.planted, SECRETS);
      assert.equal(audit.control.found, SECRETS);
      assert.deepEqual(audit.talos.map(({ where, found }) => [where, found]), [
        ["the peers' port", 0],
        ["the registry's port and its relay", 0],
      ]);
      const [direct, relayed] = audit.talos.map(({ bytes }) => bytes);
      assert.ok(direct !== undefined && direct > 5_000, `${direct} bytes`);
      // The registry's port carried all that the peers' did, and each byte of it twice.
      assert.ok(relayed !== undefined && relayed > direct, `${relayed} bytes`);
      assert.equal(passed(audit), true);
    },
  });
}

Deno.test("passed() is false when a secret is on the wire, or when the control run misses one", () => {
  const control = { where: "a plain pipe", found: 3, bytes: 1 };
  const clean = { where: "the peers' port", found: 0, bytes: 1 };
  const audit = { planted: 3, control, talos: [clean] };
  assert.equal(passed(audit), true);
  assert.equal(passed({ ...audit, talos: [clean, { ...clean, found: 1 }] }), false);
  assert.equal(passed({ ...audit, control: { ...control, found: 2 } }), false);
});
