/** `talos status`: who this is, and what runs here. */

import { formerHomeNotice } from "../../identity/home.ts";
import { LocalIdentity } from "../../identity/local_identity.ts";
import { serviceLabel } from "../../identity/names.ts";
import { readRunFiles, type RunFile } from "../../identity/run_files.ts";
import { LockedWallet } from "../../identity/wallet.ts";
import { readWallet } from "../../identity/wallet_file.ts";
import { messageOf } from "../../errors.ts";
import { SILENT } from "../../log.ts";
import { SALT_BYTES, SESSION_ID_BYTES } from "../../session/bodies.ts";
import { callControl, MAX_CONTROL_MESSAGE_BYTES } from "../../session/control.ts";
import { CONTROL_SERVICE } from "../../identity/names.ts";
import { dial } from "../../session/dial.ts";
import { Session } from "../../session/session.ts";
import { connectTcp } from "../../transport/tcp.ts";
import { Fields } from "../../wire/fields.ts";
import { ConnectionKind } from "../../wire/preface.ts";
import type { Context } from "../context.ts";

/** A session of a running process. */
interface SessionStatus {
  readonly peer: string;
  readonly service: string;
  readonly path: string;
  readonly since: string;
}

/** A running process of this home. */
interface ProcessStatus {
  readonly pid: number;
  readonly port: number;
  readonly services: readonly string[];
  /** Null when the process did not answer, or could not be asked. */
  readonly sessions: readonly SessionStatus[] | null;
}

const ANSWER_TIMEOUT_MS = 5_000;
const MAX_SESSIONS = 65_536;

/** Prints the identity and the running services. Throws IdentityError. */
export async function statusCommand(context: Context): Promise<void> {
  const { output, paths } = context;
  const notice = await formerHomeNotice(paths);
  if (notice !== null) output.say(notice);
  const wallet = await readWallet(paths);
  const identity = wallet instanceof LockedWallet ? null : new LocalIdentity(wallet.secretKey);
  const processes = await Promise.all(
    readRunFiles(paths).map((run) => processStatus(context, identity, run)),
  );
  const lines = [
    `Name:     ${wallet.name}`,
    `Peer ID:  ${wallet.peerId}`,
    `Home:     ${paths.home}`,
    `Wallet:   ${identity === null ? "locked by a passphrase" : "not locked by a passphrase"}`,
    ...(processes.length === 0 ? ["Services: none runs here"] : processes.flatMap(processLines)),
  ];
  output.result(lines.join("\n"), {
    peer_id: wallet.peerId,
    name: wallet.name,
    home: paths.home,
    locked: identity === null,
    processes,
  });
  if (processes.length === 0 && !output.json) {
    output.line('next: talos mcp-serve --authorized-peer <ID> --command "…"');
  }
}

function processLines({ pid, port, services, sessions }: ProcessStatus): string[] {
  const names = services.join(", ");
  const count = sessions === null
    ? "does not answer"
    : `${sessions.length} session${sessions.length === 1 ? "" : "s"}`;
  return [
    `Service:  ${names} on port ${port}, process ${pid}, ${count}`,
    ...(sessions ?? []).map(({ peer, service, path, since }) =>
      `  ${peer} uses ${service} (${path}) since ${since}`
    ),
  ];
}

async function processStatus(
  context: Context,
  identity: LocalIdentity | null,
  { pid, port, services }: RunFile,
): Promise<ProcessStatus> {
  const facts = { pid, port, services: services.map(serviceLabel) };
  if (identity === null || port === 0) return { ...facts, sessions: null };
  try {
    return { ...facts, sessions: await askSessions(context, identity, port) };
  } catch (error) {
    context.log.debug("a process does not answer", { pid, why: messageOf(error) });
    return { ...facts, sessions: null };
  }
}

async function askSessions(
  { clock, random }: Context,
  identity: LocalIdentity,
  port: number,
): Promise<SessionStatus[]> {
  const connection = await dial({
    identity,
    random,
    clock,
    log: SILENT,
    peer: identity.peerId,
    kind: ConnectionKind.peer,
    connect: () => connectTcp({ host: "127.0.0.1", port }, AbortSignal.timeout(ANSWER_TIMEOUT_MS)),
  });
  await using session = Session.open(connection, {
    id: random(SESSION_ID_BYTES),
    service: CONTROL_SERVICE,
    maxMessage: MAX_CONTROL_MESSAGE_BYTES,
    salt: random(SALT_BYTES),
  }, clock);
  const status = new Fields(await callControl(session, "status"), "STATUS");
  return status.maps("sessions", { maxItems: MAX_SESSIONS }).map((fields) => ({
    peer: fields.str("peer", { max: 64 }),
    service: fields.str("service", { max: 128 }),
    path: fields.str("path", { max: 512 }),
    since: new Date(fields.uint("since")).toISOString(),
  }));
}
