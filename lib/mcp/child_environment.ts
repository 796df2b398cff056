/**
 * The environment of an MCP server that Talos starts for a peer.
 *
 * It holds the few variables that the MCP SDK's stdio client hands down, what `--env` adds, and who the
 * caller is; so a server works as under any MCP client, and no secret in Talos's own environment reaches
 * it. Nothing of Talos's own (`TALOS_*`) is ever handed down, not even when asked for: what is there may
 * lead to the wallet, and a server must be able to trust `TALOS_PEER_ID`.
 */

import { printable } from "../log.ts";
import { McpError } from "./errors.ts";
import type { OperatingSystem } from "./program.ts";

/** What the MCP SDK hands down on POSIX systems. */
export const INHERITED_POSIX: readonly string[] = [
  "HOME",
  "LOGNAME",
  "PATH",
  "SHELL",
  "TERM",
  "USER",
];

/** What the MCP SDK hands down on Windows, and what programs there cannot start without. */
export const INHERITED_WINDOWS: readonly string[] = [
  "APPDATA",
  "HOMEDRIVE",
  "HOMEPATH",
  "LOCALAPPDATA",
  "PATH",
  "PROCESSOR_ARCHITECTURE",
  "SYSTEMDRIVE",
  "SYSTEMROOT",
  "TEMP",
  "USERNAME",
  "USERPROFILE",
  "PROGRAMFILES",
  // Not in the SDK's list; npx.cmd and cmd.exe need them.
  "COMSPEC",
  "PATHEXT",
  "TMP",
];

/** Who the child works for. */
export interface ChildIdentity {
  /** The caller's Peer ID: `TALOS_PEER_ID`. */
  readonly peerId: string;
  /** What this host calls the caller, if it does: `TALOS_PEER_NAME`. */
  readonly peerName?: string;
}

const OURS = "TALOS_";
const POSIX_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;
const WINDOWS_NAME = /^[^=\p{Cc}]+$/u;

/**
 * Returns the child's whole environment. `additions` are the values of `--env`: `NAME` hands down the
 * variable of `parent`, `NAME=VALUE` sets one, later ones win. On Windows names match in any case. Throws
 * McpError `variable_not_set`, `variable_invalid`, `variable_reserved`.
 */
export function childEnvironment(
  os: OperatingSystem,
  parent: Readonly<Record<string, string>>,
  additions: readonly string[],
  identity: ChildIdentity,
): Record<string, string> {
  const windows = os === "windows";
  const canonical = (name: string) => windows ? name.toUpperCase() : name;
  const inParent = new Map(
    Object.entries(parent).map(([name, value]) => [canonical(name), value]),
  );
  /** By canonical name: the name as it is written, and the value. */
  const child = new Map<string, readonly [name: string, value: string]>();

  for (const name of windows ? INHERITED_WINDOWS : INHERITED_POSIX) {
    const value = inParent.get(name);
    // Old versions of bash take such a value for a function and run what follows it; the SDK skips them too.
    if (value !== undefined && !value.startsWith("()")) child.set(name, [name, value]);
  }
  for (const addition of additions) {
    const equals = addition.indexOf("=");
    const name = equals < 0 ? addition : addition.slice(0, equals);
    checkName(name, canonical(name), windows);
    const value = equals < 0 ? inParent.get(canonical(name)) : addition.slice(equals + 1);
    if (value === undefined) {
      throw new McpError("variable_not_set", `Cannot hand down ${name}: it is not set here`, {
        hints: [`set it before talos is started, or say --env ${name}=VALUE`],
      });
    }
    if (value.includes("\0")) {
      throw new McpError("variable_invalid", `Cannot set ${name}: its value holds NUL`);
    }
    child.set(canonical(name), [name, value]);
  }
  child.set("TALOS_PEER_ID", ["TALOS_PEER_ID", identity.peerId]);
  if (identity.peerName !== undefined) {
    child.set("TALOS_PEER_NAME", ["TALOS_PEER_NAME", printable(identity.peerName)]);
  }
  return Object.fromEntries(child.values());
}

/** The name is not repeated when it is none: it may be a value, and secret. */
function checkName(name: string, canonical: string, windows: boolean): void {
  if (!(windows ? WINDOWS_NAME : POSIX_NAME).test(name)) {
    throw new McpError(
      "variable_invalid",
      "Cannot use --env: what it names cannot be the name of a variable",
      { hints: ["write --env NAME or --env NAME=VALUE"] },
    );
  }
  if (canonical.startsWith(OURS)) {
    throw new McpError(
      "variable_reserved",
      `Cannot use --env ${name}: variables that begin with ${OURS} never reach an MCP server`,
      { hints: ["hand the value down under another name"] },
    );
  }
}
