/**
 * A systemd user unit for `mcp-serve`. Pure. (systemd.service(5), systemd.exec(5), systemd.syntax(7))
 *
 * It is held to what a user's manager can enforce everywhere and every MCP server bears: no new privileges, no
 * set-user-id files, no real-time scheduling, private files. Which files a server needs Talos cannot know, and to
 * close the rest of the disk takes user namespaces, which some systems deny: then a unit does not start at all. So
 * `ProtectSystem=strict` and a private /tmp come only with `--writable DIR`, which names what the server may
 * write. Not set, ever: `MemoryDenyWriteExecute` (JavaScript is compiled at run time), `RestrictNamespaces` (the
 * reaper, by which servers die with `mcp-serve`, makes one), a list of system calls or address families (a server
 * may need any).
 */

import { CliError } from "../errors.ts";
import type { ServiceFacts } from "./service_facts.ts";

/** After a failure: slow enough that the manager's limit on starts is never met. */
const RESTART_PAUSE_S = 5;

/** Servers get two seconds, and two after SIGTERM; then the manager ends what is left. */
const STOP_PATIENCE_S = 15;

/** Exit statuses that a restart does not cure: typed wrong, and a file of Talos's own that is broken. */
const INCURABLE = "2 7";

/** Returns the unit's name. */
export function unitName(name: string): string {
  return name === "default" ? "talos.service" : `talos-${name}.service`;
}

/** Returns the unit's text. Throws CliError "usage" for what no unit file can hold. */
export function systemdUnit(facts: ServiceFacts): string {
  const { name, argv, directory, env, home, writable } = facts;
  return [
    "[Unit]",
    `Description=Talos: MCP servers shared from this machine (${name})`,
    "",
    "[Service]",
    "Type=exec",
    `ExecStart=${argv.map(execWord).join(" ")}`,
    `WorkingDirectory=${plain(directory)}`,
    ...Object.entries(env).map(([key, value]) => `Environment=${quoted(`${key}=${value}`)}`),
    "Restart=always",
    `RestartSec=${RESTART_PAUSE_S}`,
    `RestartPreventExitStatus=${INCURABLE}`,
    "KillMode=mixed",
    `TimeoutStopSec=${STOP_PATIENCE_S}`,
    "UMask=0077",
    "NoNewPrivileges=yes",
    "RestrictSUIDSGID=yes",
    "RestrictRealtime=yes",
    "LockPersonality=yes",
    ...(writable === null ? [] : [
      "PrivateTmp=yes",
      "ProtectSystem=strict",
      `ReadWritePaths=${[home, ...writable].map(quoted).join(" ")}`,
    ]),
    "",
    "[Install]",
    "WantedBy=default.target",
    "",
  ].join("\n");
}

/** A word of a command line: `$` would stand for a variable. */
function execWord(word: string): string {
  return quoted(word).replaceAll("$", "$$$$");
}

/** A word in quotes, as systemd reads it. */
function quoted(word: string): string {
  return `"${plain(word).replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
}

/** Text without quotes: `%` would stand for a specifier. */
function plain(text: string): string {
  // deno-lint-ignore no-control-regex -- a unit file has a setting a line
  if (/[\x00-\x1f\x7f]/.test(text)) {
    throw new CliError("usage", "Cannot write a service: a word of it has a control character");
  }
  return text.replaceAll("%", "%%");
}
