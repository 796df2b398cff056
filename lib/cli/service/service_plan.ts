/** How a system keeps `mcp-serve` running: the file it reads, and the commands that it takes. Pure. */

import { joinPath } from "../../identity/file_path.ts";
import { agentLabel, launchAgent } from "./launchd.ts";
import type { ServiceFacts, UserFacts } from "./service_facts.ts";
import { systemdUnit, unitName } from "./systemd.ts";
import { taskName, taskXml } from "./windows_task.ts";

/** A command line. */
export type Argv = readonly [string, ...string[]];

/** Where a service lies, and how it is spoken to. */
export interface ServicePlace {
  /** What the system calls it. */
  readonly id: string;
  /** The file that describes it. */
  readonly file: string;
  /** The file with what it printed; null where the system keeps that itself. */
  readonly log: string | null;
  /** What has to answer before anything can be done; null where nothing has to. */
  readonly probe: Argv | null;
  /** Makes the system read the file and start the service, in this order. */
  readonly start: readonly Argv[];
  /** Those of {@link start} before which a service of the same name has to be stopped; they may fail. */
  readonly clear: readonly Argv[];
  /** Stops it for good; the file is removed then. These may fail. */
  readonly stop: readonly Argv[];
  /** What the system has to be told once the file is gone. */
  readonly afterwards: readonly Argv[];
  /** Prints how it stands. */
  readonly status: Argv;
}

/** Returns where the service `name` of a user lies. `home` is that of its identity. */
export function servicePlace(user: UserFacts, name: string, home: string): ServicePlace {
  switch (user.os) {
    case "darwin":
      return launchdPlace(user, name, home);
    case "windows":
      return windowsPlace(user, name, home);
    default:
      return systemdPlace(user, name);
  }
}

/** Returns the text of a service's file. Throws CliError "usage" for what it cannot hold. */
export function serviceText(user: UserFacts, facts: ServiceFacts): string {
  const log = logFile(user, facts.name, facts.home);
  switch (user.os) {
    case "darwin":
      return launchAgent(facts, log);
    case "windows":
      return taskXml(facts, user, log);
    default:
      return systemdUnit(facts);
  }
}

/** Returns the command that shows what a service printed. */
export function logsCommand(
  user: UserFacts,
  name: string,
  home: string,
  { lines, follow }: { readonly lines: number; readonly follow: boolean },
): Argv {
  const file = logFile(user, name, home);
  switch (user.os) {
    case "darwin":
      return ["tail", "-n", String(lines), ...(follow ? ["-F"] : []), file];
    case "windows": {
      const path = file.replaceAll("'", "''");
      const wait = follow ? " -Wait" : "";
      return [
        "powershell",
        "-NoProfile",
        "-Command",
        `Get-Content -LiteralPath '${path}' -Tail ${lines}${wait}`,
      ];
    }
    default:
      return [
        "journalctl",
        "--user",
        `--unit=${unitName(name)}`,
        "--no-pager",
        "--output=cat",
        `--lines=${lines}`,
        ...(follow ? ["--follow"] : []),
      ];
  }
}

/** How a service stands. */
export interface ServiceState {
  /** In a word; `absent` where the system does not know it. */
  readonly state: "running" | "starting" | "failed" | "stopped" | "absent";
  /** Its process. */
  readonly pid?: number;
  /** What the system says of its last end. */
  readonly why?: string;
}

/** Reads what {@link ServicePlace.status} printed. */
export function serviceState(
  os: UserFacts["os"],
  { code, stdout }: { readonly code: number; readonly stdout: string },
): ServiceState {
  switch (os) {
    case "darwin":
      return launchdState(code, stdout);
    case "windows":
      return windowsState(code, stdout);
    default:
      return systemdState(stdout);
  }
}

function logFile({ os }: UserFacts, name: string, home: string): string {
  return joinPath(os, home, `service-${name}.log`);
}

function systemdPlace({ os, directory, configHome }: UserFacts, name: string): ServicePlace {
  const id = unitName(name);
  const config = configHome ?? joinPath(os, directory, ".config");
  const systemctl = (...words: string[]): Argv => ["systemctl", "--user", ...words];
  return {
    id,
    file: joinPath(os, config, "systemd", "user", id),
    log: null,
    probe: systemctl("show-environment"),
    clear: [],
    start: [systemctl("daemon-reload"), systemctl("enable", id), systemctl("restart", id)],
    stop: [systemctl("disable", "--now", id)],
    afterwards: [systemctl("daemon-reload"), systemctl("reset-failed", id)],
    status: systemctl(
      "show",
      id,
      "--property=LoadState,ActiveState,SubState,Result,MainPID,ExecMainStatus,NRestarts",
    ),
  };
}

function systemdState(stdout: string): ServiceState {
  const values = new Map(
    stdout.split("\n").map((line): [string, string] => {
      const at = line.indexOf("=");
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
  const active = values.get("ActiveState");
  if (values.get("LoadState") === "not-found") return { state: "absent" };
  const why = `exit status ${values.get("ExecMainStatus")}, ${values.get("Result")}, ` +
    `restarted ${values.get("NRestarts")} times`;
  if (active === "active") return { state: "running", pid: Number(values.get("MainPID")) };
  if (active === "activating") return { state: "starting", why };
  return active === "failed" ? { state: "failed", why } : { state: "stopped" };
}

function launchdPlace(user: UserFacts, name: string, home: string): ServicePlace {
  const { os, directory, uid } = user;
  const id = agentLabel(name);
  const domain = `gui/${uid}`;
  const file = joinPath(os, directory, "Library", "LaunchAgents", `${id}.plist`);
  return {
    id,
    file,
    log: logFile(user, name, home),
    probe: ["launchctl", "print", domain],
    clear: [["launchctl", "bootout", `${domain}/${id}`]],
    start: [["launchctl", "enable", `${domain}/${id}`], ["launchctl", "bootstrap", domain, file]],
    stop: [["launchctl", "bootout", `${domain}/${id}`]],
    afterwards: [],
    status: ["launchctl", "print", `${domain}/${id}`],
  };
}

function launchdState(code: number, stdout: string): ServiceState {
  if (code !== 0) return { state: "absent" };
  const value = (name: string) => new RegExp(`^\\s*${name} = (.*)$`, "m").exec(stdout)?.[1];
  const pid = value("pid");
  if (value("state") === "running" && pid !== undefined) {
    return { state: "running", pid: Number(pid) };
  }
  const exit = value("last exit code");
  if (exit === undefined || exit.includes("never exited")) return { state: "starting" };
  return exit === "0" ? { state: "stopped" } : { state: "failed", why: `exit status ${exit}` };
}

function windowsPlace(user: UserFacts, name: string, home: string): ServicePlace {
  const { os } = user;
  const id = taskName(name);
  const file = joinPath(os, home, `service-${name}.xml`);
  return {
    id,
    file,
    log: logFile(user, name, home),
    probe: null,
    clear: [["schtasks", "/End", "/TN", id]],
    start: [
      ["schtasks", "/Create", "/TN", id, "/XML", file, "/F"],
      ["schtasks", "/Run", "/TN", id],
    ],
    stop: [["schtasks", "/End", "/TN", id], ["schtasks", "/Delete", "/TN", id, "/F"]],
    afterwards: [],
    // `schtasks` answers in the user's language; these are words of a program.
    status: ["powershell", "-NoProfile", "-Command", `(Get-ScheduledTask -TaskName '${id}').State`],
  };
}

function windowsState(code: number, stdout: string): ServiceState {
  const state = stdout.trim();
  if (code !== 0 || state === "") return { state: "absent" };
  return { state: state === "Running" ? "running" : state === "Queued" ? "starting" : "stopped" };
}
