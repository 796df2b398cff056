/**
 * What ends an MCP server and all it started when `mcp-serve` itself is killed outright. Pure.
 *
 * On Linux a server runs in a PID namespace of its own, below a chain in which each dies with the one above
 * it: the kernel then ends every process of the namespace, whatever group or session it moved to. No tool
 * alone does it: `setpriv --pdeathsig` reaches one process, `unshare --kill-child` waits for its own end.
 * The first process of a namespace ignores signals without a handler, so it is a shell that runs the server,
 * waits, and passes on how that ended: a signal as exit status 128 + its number, which `exitOf` takes back.
 *
 * The price: a server sees and signals its own processes alone, and where a user namespace is needed too,
 * setuid programs such as `sudo` do not work in it. The waiting programs hold the server's pipes too, so that
 * a server that closes its stdout and lives on is not noticed. macOS and Windows have nothing of the kind.
 */

import { programMissing } from "./child_process.ts";
import type { LaunchRewriter } from "./launcher.ts";

/** The programs that a reaper is made of. */
export const REAPER_PROGRAMS = ["setpriv", "unshare", "bwrap", "sh", "env"] as const;

/** One of {@link REAPER_PROGRAMS}. */
export type ReaperProgram = typeof REAPER_PROGRAMS[number];

/** What {@link reaperCandidates} needs to know. */
export interface ReaperFacts {
  /** Whether we are root: then no user namespace is needed, unless root is not all-powerful here. */
  readonly root: boolean;
  /** Our own process id. */
  readonly pid: number;
  /** Where the programs are, by full path. */
  readonly programs: Readonly<Record<ReaperProgram, string>>;
}

/** A way to run a command so that it dies with us. */
export interface Reaper {
  /** What it is called in the log. */
  readonly name: string;
  /** The words that come before the command. */
  readonly prefix: readonly [string, ...string[]];
}

/**
 * If we die between the spawn and `--pdeathsig`, nothing tells: so the shell behind it looks whether its
 * parent is still the one that started it. Descriptor 4 lets those inside a namespace ask the same later of
 * the process that this shell becomes: its command line is empty once it is dying.
 */
const STILL_OURS = '[ "$PPID" = "$0" ] && exec "$@" 4</proc/$$/cmdline';

/** The same question, asked behind the moment from which the death outside ends the namespace. */
const STILL_HELD = 'read -r held <&4; [ -n "$held" ] || exit 1; exec 4<&-; ';

/** What shells put into the environment. */
const OF_SHELLS = ["PWD", "OLDPWD", "SHLVL", "_"];

/** Keeps it from the server. */
const CLEAN = unsetting(OF_SHELLS);

/**
 * Runs the server and waits. The shell's own stderr goes nowhere, as it would report a server's death by a
 * signal there; the subshell is the server from its `exec` on.
 */
const INIT = STILL_HELD + CLEAN + 'exec 3>&2 2>/dev/null; (exec "$@" 2>&3 3>&-); exit $?';

/** SIGTERM goes to the group, bwrap in it, and would end bwrap at once and the server with it. */
const DEAF_TO_SIGTERM = 'trap "" TERM; ';

const DYING_WITH_US = ["--pdeathsig", "SIGKILL"];
const EVERYTHING_VISIBLE = ["--dev-bind", "/", "/"];
const OWN_PIDS = ["--unshare-pid", "--die-with-parent", "--"];

/** Returns the ways that may work on `os`, the best first. Only a trial shows which do. */
export function reaperCandidates(os: string, facts: ReaperFacts): readonly Reaper[] {
  if (os !== "linux") return [];
  const { root } = facts;
  return [
    ...(root ? [namespaced(facts, { user: false, proc: true })] : []),
    namespaced(facts, { user: true, proc: true }),
    ...(root ? [namespaced(facts, { user: false, proc: false })] : []),
    namespaced(facts, { user: true, proc: false }),
    bubblewrapped(facts),
    bubblewrappedAlone(facts),
  ];
}

function namespaced(
  { pid, programs: { setpriv, unshare, sh } }: ReaperFacts,
  { user, proc }: { readonly user: boolean; readonly proc: boolean },
): Reaper {
  return {
    name: `unshare${user ? ", user namespace" : ""}${proc ? "" : ", /proc of the host"}`,
    prefix: [
      setpriv,
      ...DYING_WITH_US,
      sh,
      "-c",
      STILL_OURS,
      String(pid),
      unshare,
      ...(user ? ["--user", "--map-current-user"] : []),
      "--pid",
      "--fork",
      "--kill-child",
      // What is mounted later, here or there, stays visible on both sides as far as it was.
      ...(proc ? ["--mount-proc", "--propagation", "unchanged"] : []),
      sh,
      "-c",
      INIT,
      sh,
    ],
  };
}

function bubblewrapped({ pid, programs: { setpriv, bwrap, sh, env } }: ReaperFacts): Reaper {
  return {
    name: "bwrap",
    prefix: [
      setpriv,
      ...DYING_WITH_US,
      sh,
      "-c",
      DEAF_TO_SIGTERM + STILL_OURS,
      String(pid),
      bwrap,
      ...EVERYTHING_VISIBLE,
      "--proc",
      "/proc",
      ...OWN_PIDS,
      env,
      "--default-signal=TERM",
      sh,
      "-c",
      STILL_HELD + CLEAN + 'exec "$@"',
      sh,
    ],
  };
}

/** For an old setpriv, or none: a server lives on if we are killed in the first milliseconds of its life. */
function bubblewrappedAlone({ programs: { bwrap, sh, env } }: ReaperFacts): Reaper {
  return {
    name: "bwrap alone",
    prefix: [
      sh,
      "-c",
      DEAF_TO_SIGTERM + CLEAN + 'exec "$@"',
      sh,
      bwrap,
      ...EVERYTHING_VISIBLE,
      ...OWN_PIDS,
      env,
      "--default-signal=TERM",
    ],
  };
}

/**
 * Returns what runs each plan under `reaper`. A program that is not there is noticed here with `exists`, as
 * the spawn notices the first word of the prefix alone: that throws McpError `command_not_found`.
 */
export function reaping({ prefix }: Reaper, exists: (path: string) => boolean): LaunchRewriter {
  return (plan) => {
    if (!exists(plan.argv[0])) throw programMissing(plan.argv[0], plan.cwd);
    const [program, ...words] = prefix;
    const clean = unsetting(OF_SHELLS.filter((name) => plan.env[name] === undefined));
    const chain = words.map((word) => word.replace(CLEAN, clean));
    return { ...plan, argv: [program, ...chain, ...plan.argv], signalsAsStatus: true };
  };
}

/** Returns the words of a shell that removes variables. */
function unsetting(names: readonly string[]): string {
  return names.length === 0 ? "" : `unset ${names.join(" ")}; `;
}

/** Returns what the host says at its start where nothing ends the servers of a killed `mcp-serve`. */
export function withoutReaper(os: string): { readonly event: string; readonly cure?: string } {
  const event = "if mcp-serve is killed outright, what its servers started may stay behind";
  if (os !== "linux") return { event };
  return {
    event,
    cure: "install util-linux 2.36 or later (setpriv, unshare) or bubblewrap, and allow namespaces",
  };
}
