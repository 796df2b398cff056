import assert from "node:assert/strict";

import {
  accessFinding,
  databaseFinding,
  diskFinding,
  homeFinding,
  serviceFindings,
  walletFinding,
} from "../../../lib/cli/doctor/local_findings.ts";
import { TalosError } from "../../../lib/errors.ts";
import { parsePeerId } from "../../../lib/identity/peer_id.ts";

const HOME = "/home/anna/.talos";
const PEER = parsePeerId("z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK");
const DIRECTORY = { isDirectory: true, mode: 0o40700, uid: 1000 };

Deno.test("homeFinding() says that the home is there and private, or what is wrong with it", () => {
  assert.deepEqual(homeFinding(HOME, DIRECTORY, 1000), {
    check: "home",
    status: "ok",
    fact: "/home/anna/.talos, mode 0700",
    fixes: [],
  });
  assert.deepEqual(homeFinding(HOME, { ...DIRECTORY, mode: 0o40755 }, 1000), {
    check: "home",
    status: "warn",
    fact: "/home/anna/.talos: others can read it (mode 0755)",
    fixes: ["run: chmod 700 /home/anna/.talos"],
  });
  assert.deepEqual(homeFinding(HOME, { ...DIRECTORY, mode: 0o40777 }, 1000), {
    check: "home",
    status: "fail",
    fact: "/home/anna/.talos: others can write it (mode 0777)",
    fixes: ["run: chmod 700 /home/anna/.talos"],
    code: "home_permissions",
  });
  assert.deepEqual(homeFinding(HOME, DIRECTORY, 1001), {
    check: "home",
    status: "fail",
    fact: "/home/anna/.talos: it belongs to user 1000, this process runs as user 1001",
    fixes: ["run as that user, or: chown 1001 /home/anna/.talos"],
    code: "home_permissions",
  });
  assert.equal(homeFinding(HOME, { ...DIRECTORY, isDirectory: false }, 1000).code, "home_invalid");
  assert.deepEqual(homeFinding(HOME, null, 1000).fixes, ["make one: talos init --name NAME"]);
  assert.equal(
    homeFinding("C:\\t", { isDirectory: true, mode: null, uid: null }, null).fact,
    "C:\\t",
  );
});

Deno.test("diskFinding() warns below 100 MiB and fails below 1", () => {
  const seen = (mebibytes: number) => diskFinding(HOME, mebibytes * 1024 * 1024);
  assert.deepEqual([seen(100).status, seen(100).fact], ["ok", "100 MiB free"]);
  assert.deepEqual([seen(99.9).status, seen(99.9).fact], ["warn", "99 MiB free"]);
  assert.deepEqual([seen(1).status, seen(0.9).status], ["warn", "fail"]);
  assert.deepEqual(seen(0).fixes, ["make room on the disk of /home/anna/.talos"]);
  assert.equal(diskFinding(HOME, null).status, "ok");
});

Deno.test("walletFinding() says whose it is", () => {
  const facts = { name: "anna", peerId: "z6Mk…", mode: 0o100600, sealed: true };
  assert.equal(
    walletFinding(facts).fact,
    'z6Mk… "anna", mode 0600, opened with its passphrase',
  );
  assert.equal(walletFinding({ ...facts, mode: null, sealed: false }).fact, 'z6Mk… "anna"');
});

Deno.test("databaseFinding() fails with what the database says of itself", () => {
  assert.equal(databaseFinding("/db", "ok", 1).fact, "sound, 1 contact");
  const { status, code, fact } = databaseFinding("/db", "row 3 missing from index", 0);
  assert.deepEqual([status, code, fact], [
    "fail",
    "database_corrupted",
    "/db is damaged: row 3 missing from index",
  ]);
});

Deno.test("accessFinding() counts", () => {
  const grant = { peer: PEER, service: "*" as const, origin: "command", grantedAt: 0 } as const;
  const grants = [{ ...grant, expires: 5 }, { ...grant, expires: null }];
  assert.equal(
    accessFinding({ grants, revocations: [] }, 10).fact,
    "2 grants (1 expired), 0 revocations",
  );
});

Deno.test("serviceFindings() tells what runs, whether it answers and whether it is published", () => {
  const run = { pid: 42, port: 8766, services: ["default", "notes"] };
  assert.deepEqual(serviceFindings([]).map(({ status, fact }) => [status, fact]), [
    ["ok", "none runs here"],
  ]);
  const seen = serviceFindings([
    {
      ...run,
      answer: { state: "published", registry: "r:8765", observed: "192.0.2.1", skew_ms: 0 },
    },
    { ...run, answer: { state: "connecting", registry: "r:8765", why: "no route" } },
    { ...run, port: 0, answer: { state: "none" } },
    { ...run, answer: new TalosError("unreachable", "no answer in 4 s") },
  ]);
  assert.deepEqual(seen.map(({ status, fact }) => [status, fact]), [
    ["ok", "default, notes on port 8766, process 42, answers; registered at r:8765 as 192.0.2.1"],
    [
      "warn",
      "default, notes on port 8766, process 42, answers; " +
      "not registered now, trying again: no route",
    ],
    ["warn", "default, notes: process 42 is starting"],
    ["fail", "default, notes on port 8766, process 42, does not answer: no answer in 4 s"],
  ]);
  assert.equal(seen[3]?.code, "unreachable");
  assert.deepEqual(seen[3]?.fixes, ["stop it, and start it again: kill 42"]);
});
