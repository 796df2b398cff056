/** What there is to say about this machine: the home and what lies in it, and what runs here. Pure. */

import type { Access } from "../../identity/access.ts";
import {
  ACCESSIBLE_BY_OTHERS,
  permissionFault,
  WRITABLE_BY_OTHERS,
} from "../../identity/file_permissions.ts";
import type { TalosError } from "../../errors.ts";
import { type RegistrationStatus, registrationText } from "../registration.ts";
import { fail, type Finding, ok, warn } from "./finding.ts";

/** A directory as the system tells of it. */
export type DirectoryFacts = Pick<Deno.FileInfo, "isDirectory" | "mode" | "uid">;

/** Returns what to say of the home; `info` is null where there is nothing. */
export function homeFinding(
  path: string,
  info: DirectoryFacts | null,
  uid: number | null,
): Finding {
  if (info === null) {
    return fail(
      "home",
      "wallet_missing",
      `${path} is not there: this machine has no identity yet`,
      "make one: talos init --name NAME",
    );
  }
  if (!info.isDirectory) {
    return fail("home", "home_invalid", `${path} is not a directory`, "name another: --home DIR");
  }
  const writable = permissionFault(path, info, WRITABLE_BY_OTHERS, uid);
  if (writable !== null) {
    return fail("home", "home_permissions", `${path}: ${writable.state}`, writable.hint);
  }
  const open = permissionFault(path, info, ACCESSIBLE_BY_OTHERS, uid);
  if (open !== null) return warn("home", `${path}: ${open.state}`, open.hint);
  return ok("home", `${path}${info.mode === null ? "" : `, mode ${modeText(info.mode)}`}`);
}

function modeText(mode: number): string {
  return (mode & 0o7777).toString(8).padStart(4, "0");
}

const MIB = 1024 * 1024;

/** Below this a database, a log or an audit record soon fails. */
const LOW_DISK_MIB = 100;

/** Below this writing a wallet or a database fails now. */
const FULL_DISK_MIB = 1;

/** Returns what to say of the room that is left where the home is, in bytes; null where that is not known. */
export function diskFinding(path: string, freeBytes: number | null): Finding {
  if (freeBytes === null) return ok("disk", "this system does not say how much is free");
  const mebibytes = Math.floor(freeBytes / MIB);
  const fact = `${mebibytes} MiB free`;
  const fix = `make room on the disk of ${path}`;
  if (mebibytes < FULL_DISK_MIB) return fail("disk", "disk_full", fact, fix);
  return mebibytes < LOW_DISK_MIB ? warn("disk", fact, fix) : ok("disk", fact);
}

/** What is known of a wallet that could be opened. */
export interface WalletFacts {
  /** What its owner is called. */
  readonly name: string;
  /** Whose it is. */
  readonly peerId: string;
  /** The file's permission bits; null where there are none. */
  readonly mode: number | null;
  /** Whether its key lies under a passphrase. */
  readonly sealed: boolean;
}

/** Returns what to say of a wallet that could be opened. */
export function walletFinding({ name, peerId, mode, sealed }: WalletFacts): Finding {
  const bits = mode === null ? "" : `, mode ${modeText(mode)}`;
  const seal = sealed ? ", opened with its passphrase" : "";
  return ok("wallet", `${peerId} "${name}"${bits}${seal}`);
}

/** Returns what to say of a database, from what its own check of itself says. */
export function databaseFinding(path: string, verdict: string, contacts: number): Finding {
  if (verdict === "ok") return ok("database", `sound, ${counted(contacts, "contact")}`);
  return fail(
    "database",
    "database_corrupted",
    `${path} is damaged: ${verdict}`,
    "stop what runs here, and move it away; contacts and the remembered registry go with it",
  );
}

/** Returns what to say of the file that says who may use what. */
export function accessFinding({ grants, revocations }: Access, now: number): Finding {
  const expired = grants.filter(({ expires }) => expires !== null && expires <= now).length;
  return ok(
    "access",
    `${counted(grants.length, "grant")}${expired === 0 ? "" : ` (${expired} expired)`}, ` +
      counted(revocations.length, "revocation"),
  );
}

/** A process of this home that shares something. */
export interface ServiceFacts {
  /** Its process id. */
  readonly pid: number;
  /** Where it listens; 0 until it does. */
  readonly port: number;
  /** What it shares. */
  readonly services: readonly string[];
  /** How it stands with its registry, as it says; the error where it does not answer. */
  readonly answer: RegistrationStatus | TalosError;
}

/** Returns what to say of what runs here. */
export function serviceFindings(processes: readonly ServiceFacts[]): readonly Finding[] {
  if (processes.length === 0) return [ok("services", "none runs here")];
  return processes.map(({ pid, port, services, answer }) => {
    const what = `${services.join(", ")} on port ${port}, process ${pid}`;
    if (port === 0) return warn("services", `${services.join(", ")}: process ${pid} is starting`);
    if (answer instanceof Error) {
      return fail(
        "services",
        answer.code,
        `${what}, does not answer: ${answer.message}`,
        `stop it, and start it again: kill ${pid}`,
      );
    }
    const state = `${what}, answers; ${registrationText(answer)}`;
    return answer.state === "connecting" ? warn("services", state) : ok("services", state);
  });
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
