/** Looks at this machine: the home, what lies in it, and the processes that run here. */

import { statfs } from "node:fs/promises";
import { messageOf, TalosError } from "../../errors.ts";
import { readAccess } from "../../identity/access_file.ts";
import { contacts } from "../../identity/contacts.ts";
import { Database } from "../../identity/database.ts";
import { ownUid } from "../../identity/file_permissions.ts";
import { LocalIdentity } from "../../identity/local_identity.ts";
import { serviceLabel } from "../../identity/names.ts";
import { readRunFiles, type RunFile } from "../../identity/run_files.ts";
import { LockedWallet } from "../../identity/wallet.ts";
import { loadWallet, readWallet } from "../../identity/wallet_file.ts";
import { VERSION } from "../../version.ts";
import { SUPPORTED_VERSIONS } from "../../wire/preface.ts";
import { type Context, unattendedPassphrase } from "../context.ts";
import { registrationStatusOf } from "../registration.ts";
import { askProcess } from "../running_process.ts";
import { type Finding, ok } from "./finding.ts";
import {
  accessFinding,
  databaseFinding,
  diskFinding,
  homeFinding,
  type ServiceFacts,
  serviceFindings,
  walletFinding,
} from "./local_findings.ts";
import { rangeText } from "./peer_findings.ts";
import type { Check } from "./run_checks.ts";

/** What was learnt of this machine, for the checks that come after; each is there once its check is met. */
export interface Machine extends Disposable {
  /** Who we are. */
  identity?: LocalIdentity;
  /** What we remember. */
  database?: Database;
  /** Whether a process here shares something. */
  shares: boolean;
}

/** A file system that hangs is told sooner than a person gives up. */
const LOCAL_LIMIT_MS = 5_000;

/** More than a process has to answer: its silence is told by its own check. */
const SERVICES_LIMIT_MS = 15_000;

const SERVICE_LIMIT_MS = 4_000;

/** Returns nothing learnt yet. */
export function unknownMachine(): Machine {
  return {
    shares: false,
    [Symbol.dispose]() {
      this.database?.[Symbol.dispose]();
    },
  };
}

/** Returns the checks of this machine, which fill `machine`. */
export function localChecks(context: Context, machine: Machine): readonly Check[] {
  const { paths } = context;
  const check = (
    names: Check["names"],
    needs: Check["names"] | readonly [],
    look: Check["look"],
    limitMs = LOCAL_LIMIT_MS,
  ): Check => ({ names, needs: () => needs, look, limitMs, lateCode: "home_unusable" });
  return [
    check(["version"], [], () => [versionFinding(context)]),
    check(["home"], [], async () => [
      homeFinding(paths.home, await directoryFacts(paths.home), ownUid()),
    ]),
    check(["disk"], ["home"], async () => [
      diskFinding(paths.home, await freeBytes(paths.home)),
    ]),
    check(["wallet"], ["home"], async () => [await lookAtWallet(context, machine)]),
    check(["database"], ["wallet"], () => [lookAtDatabase(context, machine)]),
    check(["access"], ["home"], () => [accessFinding(readAccess(paths), context.clock.now())]),
    check(["services"], ["wallet"], () => lookAtServices(context, machine), SERVICES_LIMIT_MS),
  ];
}

function versionFinding({ os }: Context): Finding {
  const protocol = rangeText(SUPPORTED_VERSIONS);
  return ok("version", `talos ${VERSION}, protocol ${protocol}, Deno ${Deno.version.deno}, ${os}`);
}

async function directoryFacts(path: string): Promise<Deno.FileInfo | null> {
  try {
    return await Deno.stat(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    throw error;
  }
}

/** Returns how many bytes are free for this user; null where the system does not say. */
async function freeBytes(path: string): Promise<number | null> {
  try {
    const { bavail, bsize } = await statfs(path);
    return bavail * bsize;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return null;
  }
}

async function lookAtWallet(context: Context, machine: Machine): Promise<Finding> {
  const { paths } = context;
  const sealed = await readWallet(paths) instanceof LockedWallet;
  const wallet = await loadWallet(paths, unattendedPassphrase(context));
  machine.identity = new LocalIdentity(wallet.secretKey);
  const { mode } = await Deno.stat(paths.wallet);
  return walletFinding({ name: wallet.name, peerId: wallet.peerId, mode, sealed });
}

function lookAtDatabase({ paths }: Context, machine: Machine): Finding {
  const { identity } = machine;
  if (identity === undefined) throw new TypeError("the wallet is looked at first");
  const database = new Database(paths, identity.peerId);
  const verdict = String(database.row("PRAGMA quick_check(1)")?.["quick_check"]);
  const known = contacts(database).length;
  machine.database = database;
  return databaseFinding(paths.database, verdict, known);
}

async function lookAtServices(context: Context, machine: Machine): Promise<readonly Finding[]> {
  const running = readRunFiles(context.paths);
  machine.shares = running.length > 0;
  return serviceFindings(
    await Promise.all(running.map((run) => serviceFacts(context, machine, run))),
  );
}

async function serviceFacts(
  context: Context,
  { identity }: Machine,
  run: RunFile,
): Promise<ServiceFacts> {
  const { pid, port } = run;
  const facts = { pid, port, services: run.services.map(serviceLabel) };
  if (identity === undefined || port === 0) return { ...facts, answer: { state: "none" } };
  const late = Promise.withResolvers<never>();
  using _limit = context.clock.after(SERVICE_LIMIT_MS, () =>
    late.reject(
      new TalosError("unreachable", `no answer in ${SERVICE_LIMIT_MS / 1000} s`),
    ));
  try {
    const asked = askProcess(context, identity, run, "registration");
    const answer = await Promise.race([asked, late.promise]);
    return { ...facts, answer: registrationStatusOf(answer) };
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    const answer = error instanceof TalosError
      ? error
      : new TalosError("internal", messageOf(error));
    return { ...facts, answer };
  }
}
