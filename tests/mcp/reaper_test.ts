import assert from "node:assert/strict";

import { parsePeerId } from "../../lib/identity/peer_id.ts";
import { exitOf } from "../../lib/mcp/child_exit.ts";
import type { Caller, LaunchPlan } from "../../lib/mcp/launcher.ts";
import {
  reaperCandidates,
  type ReaperFacts,
  reaping,
  withoutReaper,
} from "../../lib/mcp/reaper.ts";
import { findReaperPrograms } from "../../lib/mcp/reaper_trial.ts";

const CALLER: Caller = {
  peer: parsePeerId("z6MkiTBz1ymuepAQ4HEHYSF1H8quG5GLVVQR3djdX3mDooWp"),
  service: "mcp/default",
};
const USER: ReaperFacts = {
  root: false,
  pid: 4711,
  programs: {
    setpriv: "/usr/bin/setpriv",
    unshare: "/usr/bin/unshare",
    bwrap: "/usr/bin/bwrap",
    sh: "/bin/sh",
    env: "/usr/bin/env",
  },
};
const ROOT: ReaperFacts = { ...USER, root: true };

const CHECKED = [
  "/bin/sh",
  "-c",
  '[ "$PPID" = "$0" ] && exec "$@" 4</proc/$$/cmdline',
  "4711",
];
const INIT = [
  "/bin/sh",
  "-c",
  'read -r held <&4; [ -n "$held" ] || exit 1; exec 4<&-; unset PWD OLDPWD SHLVL _; ' +
  'exec 3>&2 2>/dev/null; (exec "$@" 2>&3 3>&-); exit $?',
  "/bin/sh",
];
const DYING = ["/usr/bin/setpriv", "--pdeathsig", "SIGKILL", ...CHECKED, "/usr/bin/unshare"];
const OWN_PROC = ["--mount-proc", "--propagation", "unchanged"];

Deno.test("reaperCandidates() prefers unshare, with a user namespace for all but root", () => {
  assert.deepEqual(reaperCandidates("linux", USER).map(({ name }) => name), [
    "unshare, user namespace",
    "unshare, user namespace, /proc of the host",
    "bwrap",
    "bwrap alone",
  ]);
  assert.deepEqual(reaperCandidates("linux", ROOT).map(({ name }) => name), [
    "unshare",
    "unshare, user namespace",
    "unshare, /proc of the host",
    "unshare, user namespace, /proc of the host",
    "bwrap",
    "bwrap alone",
  ]);
});

Deno.test("reaperCandidates() puts each word of a command line where it belongs", () => {
  const prefix = (facts: ReaperFacts, wanted: string) =>
    reaperCandidates("linux", facts).find(({ name }) => name === wanted)?.prefix;
  assert.deepEqual(prefix(USER, "unshare, user namespace"), [
    ...DYING,
    "--user",
    "--map-current-user",
    "--pid",
    "--fork",
    "--kill-child",
    ...OWN_PROC,
    ...INIT,
  ]);
  assert.deepEqual(prefix(ROOT, "unshare"), [
    ...DYING,
    "--pid",
    "--fork",
    "--kill-child",
    ...OWN_PROC,
    ...INIT,
  ]);
  assert.deepEqual(prefix(ROOT, "unshare, /proc of the host"), [
    ...DYING,
    "--pid",
    "--fork",
    "--kill-child",
    ...INIT,
  ]);
  assert.deepEqual(prefix(USER, "bwrap"), [
    "/usr/bin/setpriv",
    "--pdeathsig",
    "SIGKILL",
    "/bin/sh",
    "-c",
    'trap "" TERM; [ "$PPID" = "$0" ] && exec "$@" 4</proc/$$/cmdline',
    "4711",
    "/usr/bin/bwrap",
    "--dev-bind",
    "/",
    "/",
    "--proc",
    "/proc",
    "--unshare-pid",
    "--die-with-parent",
    "--",
    "/usr/bin/env",
    "--default-signal=TERM",
    "/bin/sh",
    "-c",
    'read -r held <&4; [ -n "$held" ] || exit 1; exec 4<&-; unset PWD OLDPWD SHLVL _; exec "$@"',
    "/bin/sh",
  ]);
  assert.deepEqual(prefix(USER, "bwrap alone"), [
    "/bin/sh",
    "-c",
    'trap "" TERM; unset PWD OLDPWD SHLVL _; exec "$@"',
    "/bin/sh",
    "/usr/bin/bwrap",
    "--dev-bind",
    "/",
    "/",
    "--unshare-pid",
    "--die-with-parent",
    "--",
    "/usr/bin/env",
    "--default-signal=TERM",
  ]);
});

Deno.test("reaperCandidates() has nothing for macOS and Windows, and withoutReaper() says so", () => {
  assert.deepEqual(reaperCandidates("darwin", USER), []);
  assert.deepEqual(reaperCandidates("windows", USER), []);
  const event = "if mcp-serve is killed outright, what its servers started may stay behind";
  assert.deepEqual(withoutReaper("darwin"), { event });
  assert.deepEqual(withoutReaper("windows"), { event });
  assert.deepEqual(withoutReaper("linux"), {
    event,
    cure: "install util-linux 2.36 or later (setpriv, unshare) or bubblewrap, and allow namespaces",
  });
});

Deno.test("reaping() puts the reaper before the command and keeps the rest of the plan", () => {
  const plan: LaunchPlan = { argv: ["/bin/server", "--flag"], env: { A: "1" }, cwd: "/data" };
  const rewrite = reaping({ name: "test", prefix: ["/bin/reaper", "--"] }, () => true);
  assert.deepEqual(rewrite(plan, {}, CALLER), {
    argv: ["/bin/reaper", "--", "/bin/server", "--flag"],
    env: { A: "1" },
    cwd: "/data",
    signalsAsStatus: true,
  });
});

Deno.test("reaping() takes what shells add from the environment, but for what the plan has", () => {
  const prefix = ["/bin/sh", "-c", 'unset PWD OLDPWD SHLVL _; exec "$@"', "/bin/sh"] as const;
  const rewrite = reaping({ name: "test", prefix: [...prefix] }, () => true);
  const scriptFor = (env: Record<string, string>) =>
    rewrite({ argv: ["/bin/server"], env }, {}, CALLER).argv[2];
  assert.equal(scriptFor({}), 'unset PWD OLDPWD SHLVL _; exec "$@"');
  assert.equal(scriptFor({ PWD: "/a", SHLVL: "" }), 'unset OLDPWD _; exec "$@"');
  assert.equal(scriptFor({ PWD: "", OLDPWD: "", SHLVL: "", _: "" }), 'exec "$@"');
});

Deno.test("reaping() throws when the program is not there, as a spawn without a reaper does", () => {
  const rewrite = reaping({ name: "test", prefix: ["/bin/reaper"] }, () => false);
  assert.throws(() => rewrite({ argv: ["/no/such"], env: {} }, {}, CALLER), {
    code: "command_not_found",
    message: "Cannot run /no/such: there is no such program",
  });
});

Deno.test("exitOf() takes exit status 128 + n for signal n, and no other status", () => {
  const cases: [number, string | null][] = [
    [0, null],
    [1, null],
    [127, null],
    [128, null],
    [129, "SIGHUP"],
    [130, "SIGINT"],
    [134, "SIGABRT"],
    [137, "SIGKILL"],
    [139, "SIGSEGV"],
    [143, "SIGTERM"],
    [160, null],
    [255, null],
  ];
  for (const [code, signal] of cases) {
    assert.deepEqual(exitOf({ code, signal: null }), { code, signal });
  }
  assert.deepEqual(exitOf({ code: 137, signal: "SIGKILL" }), { code: 137, signal: "SIGKILL" });
});

Deno.test("findReaperPrograms() takes the first of PATH, and else the usual places", () => {
  const there = ["/opt/bin/setpriv", "/usr/bin/setpriv", "/bin/unshare"];
  assert.deepEqual(findReaperPrograms("/opt/bin:relative", (path) => there.includes(path)), {
    setpriv: "/opt/bin/setpriv",
    unshare: "/bin/unshare",
    bwrap: "/usr/bin/bwrap",
    sh: "/bin/sh",
    env: "/usr/bin/env",
  });
  assert.equal(findReaperPrograms(undefined, () => false).setpriv, "/usr/bin/setpriv");
});
