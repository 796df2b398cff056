/** Asking a running process of this home, over its own port and with the home's own key. */

import { messageOf } from "../errors.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import { CONTROL_SERVICE } from "../identity/names.ts";
import { readRunFiles, type RunFile } from "../identity/run_files.ts";
import { SILENT } from "../log.ts";
import { SALT_BYTES, SESSION_ID_BYTES } from "../session/bodies.ts";
import { callControl, MAX_CONTROL_MESSAGE_BYTES } from "../session/control.ts";
import { dial } from "../session/dial.ts";
import { Session } from "../session/session.ts";
import { connectTcp } from "../transport/tcp.ts";
import type { MsgPackValue } from "../wire/msgpack.ts";
import { ConnectionKind } from "../wire/preface.ts";
import type { Context } from "./context.ts";

const ANSWER_TIMEOUT_MS = 5_000;

/** Returns what the process that `run` describes answers to `method`. Throws TalosError. */
export async function askProcess(
  { clock, random }: Context,
  identity: LocalIdentity,
  run: RunFile,
  method: string,
): Promise<MsgPackValue> {
  const address = { host: localHost(run.host), port: run.port };
  const connection = await dial({
    identity,
    random,
    clock,
    log: SILENT,
    peer: identity.peerId,
    kind: ConnectionKind.peer,
    connect: () => connectTcp(address, AbortSignal.timeout(ANSWER_TIMEOUT_MS)),
  });
  await using session = Session.open(connection, {
    id: random(SESSION_ID_BYTES),
    service: CONTROL_SERVICE,
    maxMessage: MAX_CONTROL_MESSAGE_BYTES,
    salt: random(SALT_BYTES),
  }, clock);
  return await callControl(session, method);
}

/** Returns the address of this machine at which a process that listens on `host` answers. */
function localHost(host: string | undefined): string {
  if (host === undefined || host === "0.0.0.0") return "127.0.0.1";
  return host === "::" ? "::1" : host;
}

/**
 * Asks every process of this home that serves for `method`, and returns the ids of those that answered. What
 * does not answer is only reported: it will learn of what changed in its own time.
 */
export async function tellProcesses(
  context: Context,
  identity: LocalIdentity,
  method: string,
): Promise<number[]> {
  const running = readRunFiles(context.paths).filter(({ port }) => port !== 0);
  const told = await Promise.all(running.map(async (run) => {
    try {
      await askProcess(context, identity, run, method);
      return [run.pid];
    } catch (error) {
      const why = messageOf(error);
      context.log.warn("a service that runs here was not told", { pid: run.pid, why });
      return [];
    }
  }));
  return told.flat();
}
