/** `talos status`: who this is, and what runs here. Bare `talos`: the same, and where to begin. */

import { messageOf } from "../../errors.ts";
import { readAccess } from "../../identity/access_file.ts";
import { Database } from "../../identity/database.ts";
import { IdentityError } from "../../identity/errors.ts";
import { formerHomeNotice } from "../../identity/home.ts";
import { LocalIdentity } from "../../identity/local_identity.ts";
import { serviceLabel } from "../../identity/names.ts";
import { readRunFiles, type RunFile } from "../../identity/run_files.ts";
import { LockedWallet, type Wallet } from "../../identity/wallet.ts";
import { readWallet } from "../../identity/wallet_file.ts";
import { Fields } from "../../wire/fields.ts";
import { type Context, unattendedPassphrase } from "../context.ts";
import { MAKE_IDENTITY, SHARE_OR_USE, useService } from "../next_steps.ts";
import type { NextStep } from "../output.ts";
import {
  type RegistrationStatus,
  registrationStatusOf,
  registrationText,
} from "../registration.ts";
import { registryLines, registryStatus } from "../registry_status.ts";
import { askProcess } from "../running_process.ts";

/** A session of a running process. */
interface SessionStatus {
  readonly peer: string;
  readonly service: string;
  readonly path: string;
  /** How long a question is under way on it, there and back; absent where that was not measured. */
  readonly round_trip_ms?: number;
  readonly since: string;
  /** `live`, `detached` or `closing`. */
  readonly state: string;
  /** How often it went on over a new connection. */
  readonly resumptions: number;
  readonly messages_from_peer: number;
  readonly messages_to_peer: number;
  readonly bytes_from_peer: number;
  readonly bytes_to_peer: number;
}

/** A running process of this home. */
interface ProcessStatus {
  readonly pid: number;
  readonly port: number;
  readonly host?: string;
  readonly services: readonly string[];
  /** Null when the process did not answer, or could not be asked. */
  readonly sessions: readonly SessionStatus[] | null;
  /** Children that are ready and belong to no session; absent when it did not answer. */
  readonly prewarmed?: number;
  /** How it stands with its registry; absent when it did not say. */
  readonly registration?: RegistrationStatus;
}

const MAX_SESSIONS = 65_536;

/** Prints the identity and the running services. Throws IdentityError, at the end for a broken `access.json`. */
export async function statusCommand(context: Context): Promise<void> {
  await noticeFormerHome(context);
  await report(context, await readWallet(context.paths));
}

/** Does the same, and names the first step where there is no identity yet. Throws IdentityError. */
export async function overviewCommand(context: Context): Promise<void> {
  const { output, paths } = context;
  await noticeFormerHome(context);
  try {
    await report(context, await readWallet(paths));
  } catch (error) {
    if (!(error instanceof IdentityError) || error.code !== "wallet_missing") throw error;
    output.result(
      `There is no identity in ${paths.home} yet.`,
      { peer_id: null, name: null, home: paths.home, locked: false, processes: [] },
      MAKE_IDENTITY,
    );
  }
  if (!output.json) output.line("help: talos --help");
}

async function noticeFormerHome({ output, paths }: Context): Promise<void> {
  const notice = await formerHomeNotice(paths);
  if (notice !== null) output.say(notice);
}

async function report(context: Context, wallet: Wallet | LockedWallet): Promise<void> {
  const { output, paths } = context;
  const locked = wallet instanceof LockedWallet;
  const identity = await identityOf(context, wallet);
  using database = new Database(paths, wallet.peerId);
  const [registry, processes] = await Promise.all([
    registryStatus(context, identity, database),
    Promise.all(readRunFiles(paths).map((run) => processStatus(context, identity, run))),
  ]);
  const accessFault = accessFaultOf(context);
  const lines = [
    `Name:     ${wallet.name}`,
    `Peer ID:  ${wallet.peerId}`,
    `Home:     ${paths.home}`,
    `Wallet:   ${locked ? "sealed under a passphrase" : "not sealed under a passphrase"}`,
    ...(accessFault === null ? [] : [`Access:   broken: ${accessFault.message}`]),
    ...registryLines(registry),
    ...(processes.length === 0
      ? ["Services: none runs here"]
      : processes.flatMap((process) => processLines(process, identity === null))),
  ];
  const broken = accessFault === null ? {} : { access_error: accessFault.message };
  output.result(
    lines.join("\n"),
    {
      peer_id: wallet.peerId,
      name: wallet.name,
      home: paths.home,
      locked,
      ...broken,
      registry,
      processes,
    },
    processes.length === 0 ? SHARE_OR_USE : useSteps(wallet.peerId, processes),
  );
  if (!output.json) {
    for (const hint of registry?.hints ?? []) output.line(`hint: ${output.rendered(hint)}`);
  }
  if (accessFault !== null) throw accessFault;
}

/** Returns what is wrong with the file that says who may use what; null when nothing is. */
function accessFaultOf({ paths }: Context): IdentityError | null {
  try {
    readAccess(paths);
    return null;
  } catch (error) {
    if (error instanceof IdentityError) return error;
    throw error;
  }
}

/** Returns the identity if its key can be had without asking anybody. */
async function identityOf(
  context: Context,
  wallet: Wallet | LockedWallet,
): Promise<LocalIdentity | null> {
  if (!(wallet instanceof LockedWallet)) return new LocalIdentity(wallet.secretKey);
  try {
    const passphrase = await unattendedPassphrase(context).passphrase("unlock", 1);
    return new LocalIdentity((await wallet.unlock(passphrase)).secretKey);
  } catch (error) {
    context.log.debug("the wallet stays locked", { why: messageOf(error) });
    return null;
  }
}

function useSteps(peerId: string, processes: readonly ProcessStatus[]): NextStep[] {
  return processes.flatMap(({ services, registration, ...place }) => {
    if (place.port === 0) return [];
    const registry = registration?.state === "published" ? registration.registry : undefined;
    return services.map((service) => useService({ peerId, service, registry, ...place }));
  });
}

function processLines(
  { pid, port, host, services, sessions, prewarmed = 0, registration }: ProcessStatus,
  locked: boolean,
): string[] {
  const names = services.join(", ");
  const at = port === 0
    ? "no port of its own"
    : host === undefined
    ? `port ${port}`
    : `${host} port ${port}`;
  const state = sessions !== null
    ? `${sessions.length} session${sessions.length === 1 ? "" : "s"}`
    : port === 0
    ? "not asked, as it has no port (its log names its sessions)"
    : locked
    ? "not asked, as the wallet is locked"
    : "does not answer";
  return [
    `Service:  ${names} on ${at}, process ${pid}, ${state}` +
    (prewarmed > 0 ? `, ${prewarmed} prewarmed` : ""),
    ...(registration === undefined || registration.state === "none"
      ? []
      : [`  ${registrationText(registration)}`]),
    ...(sessions ?? []).flatMap((session) => [
      `  ${session.peer} uses ${session.service} (${pathText(session)}) since ${session.since}`,
      `    ${session.state}, resumed ${session.resumptions} times, ` +
      `${session.messages_from_peer} messages (${session.bytes_from_peer} bytes) from it, ` +
      `${session.messages_to_peer} (${session.bytes_to_peer} bytes) to it`,
    ]),
  ];
}

function pathText({ path, round_trip_ms: ms }: SessionStatus): string {
  return ms === undefined ? path : `${path}, ${Math.max(1, ms)} ms`;
}

async function processStatus(
  context: Context,
  identity: LocalIdentity | null,
  run: RunFile,
): Promise<ProcessStatus> {
  const { pid, port, host, services } = run;
  const facts = {
    pid,
    port,
    ...(host === undefined ? {} : { host }),
    services: services.map(serviceLabel),
  };
  if (identity === null || port === 0) return { ...facts, sessions: null };
  try {
    const [status, registration] = await Promise.all([
      askProcess(context, identity, run, "status"),
      askProcess(context, identity, run, "registration"),
    ]);
    const fields = new Fields(status, "STATUS");
    return {
      ...facts,
      sessions: sessionsOf(fields),
      prewarmed: prewarmedOf(fields),
      registration: registrationStatusOf(registration),
    };
  } catch (error) {
    context.log.debug("a process does not answer", { pid, why: messageOf(error) });
    return { ...facts, sessions: null };
  }
}

function roundTripOf(session: Fields): Pick<SessionStatus, "round_trip_ms"> {
  const ms = session.optional("round_trip_ms", (name) => session.uint(name));
  return ms === undefined ? {} : { round_trip_ms: ms };
}

function prewarmedOf(status: Fields): number {
  return status.maps("prewarmed", { maxItems: MAX_SESSIONS })
    .reduce((sum, fields) => sum + fields.uint("ready"), 0);
}

function sessionsOf(status: Fields): SessionStatus[] {
  return status.maps("sessions", { maxItems: MAX_SESSIONS }).map((fields) => ({
    peer: fields.str("peer", { max: 64 }),
    service: fields.str("service", { max: 128 }),
    path: fields.str("path", { max: 512 }),
    ...roundTripOf(fields),
    since: new Date(fields.uint("since")).toISOString(),
    state: fields.str("state", { max: 32 }),
    resumptions: fields.uint("resumptions"),
    messages_from_peer: fields.uint("messages_from_peer"),
    messages_to_peer: fields.uint("messages_to_peer"),
    bytes_from_peer: fields.uint("bytes_from_peer"),
    bytes_to_peer: fields.uint("bytes_to_peer"),
  }));
}
