/** The commands that hints name: each must exist on the system of whoever reads it. */

import assert from "node:assert/strict";
import { lookupCommand, portCheckCommand } from "../../lib/cli/host_sessions.ts";
import { portHolderCommand } from "../../lib/cli/listen.ts";

Deno.test("portHolderCommand() names what each system has", () => {
  assert.equal(portHolderCommand("linux", 8766), "ss -ltnp 'sport = :8766'");
  assert.equal(portHolderCommand("darwin", 8766), "lsof -nP -iTCP:8766 -sTCP:LISTEN");
  assert.equal(portHolderCommand("windows", 8766), "netstat -ano | findstr :8766");
});

Deno.test("portCheckCommand() names what each system has", () => {
  const address = { host: "192.0.2.7", port: 8766 };
  assert.equal(portCheckCommand("linux", address), "nc -vz 192.0.2.7 8766");
  assert.equal(portCheckCommand("darwin", address), "nc -vz 192.0.2.7 8766");
  assert.equal(
    portCheckCommand("windows", address),
    "powershell Test-NetConnection 192.0.2.7 -Port 8766",
  );
});

Deno.test("lookupCommand() names what each system has", () => {
  assert.equal(lookupCommand("linux", "host.example"), "getent hosts host.example");
  assert.equal(lookupCommand("darwin", "host.example"), "nslookup host.example");
  assert.equal(lookupCommand("windows", "host.example"), "nslookup host.example");
});
