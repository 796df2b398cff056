/**
 * `talos/control`: how a command talks to a running process of the same home, over the process's own
 * port and with the home's own key, the same way on every system.
 *
 * Each message is one MsgPack map: `{id, method, params}` one way, `{id, result}` or
 * `{id, error: {code, message}}` back. Only the identity that runs the process may open it.
 */

import type { Bytes } from "../bytes.ts";
import { messageOf, TalosError } from "../errors.ts";
import { printable } from "../log.ts";
import { WireError } from "../wire/errors.ts";
import { Fields } from "../wire/fields.ts";
import { decode, encode, type MsgPackInput, type MsgPackValue } from "../wire/msgpack.ts";
import { SessionError } from "./errors.ts";
import type { Session } from "./session.ts";

/** The longest control message, in bytes. */
export const MAX_CONTROL_MESSAGE_BYTES = 1024 * 1024;

/** What a process answers, by method name. */
export type ControlMethods = Readonly<
  Record<string, (params: MsgPackValue) => MsgPackInput | Promise<MsgPackInput>>
>;

const MAX_METHOD_BYTES = 64;
const MAX_TEXT_CHARACTERS = 1024;

/** The id of every request of {@link callControl}, which awaits each answer. */
const REQUEST_ID = 1;

/** Answers requests until the session ends. */
export async function serveControl(session: Session, methods: ControlMethods): Promise<void> {
  for (;;) {
    const message = await session.receive();
    if (message === null) return;
    const fields = new Fields(decode(message), "CONTROL");
    const id = fields.uint("id");
    const method = fields.str("method", { max: MAX_METHOD_BYTES });
    // Only what was put there: every object inherits `constructor` and its like.
    const run = Object.hasOwn(methods, method) ? methods[method] : undefined;
    await session.send(encode(await answer(id, run, method, fields.value("params"))));
  }
}

async function answer(
  id: number,
  run: ControlMethods[string] | undefined,
  method: string,
  params: MsgPackValue,
): Promise<MsgPackInput> {
  if (run === undefined) {
    return { id, error: { code: "unknown_method", message: `There is no method ${method}` } };
  }
  try {
    return { id, result: await run(params) };
  } catch (error) {
    const code = error instanceof TalosError ? error.code : "internal";
    const text = printable(messageOf(error), MAX_TEXT_CHARACTERS);
    return { id, error: { code, message: text } };
  }
}

/** Asks one thing and returns the result. Throws SessionError. */
export async function callControl(
  session: Session,
  method: string,
  params: MsgPackInput = null,
): Promise<MsgPackValue> {
  await session.send(encode({ id: REQUEST_ID, method, params }));
  const message = await session.receive();
  if (message === null) {
    throw new SessionError("connection_lost", `The process ended before it answered ${method}`);
  }
  return resultOf(message, method);
}

/** Returns the result that an answer carries. Throws SessionError for an error, and for nonsense. */
function resultOf(message: Bytes, method: string): MsgPackValue {
  try {
    const fields = new Fields(decode(message), "CONTROL");
    fields.uint("id", { min: REQUEST_ID, max: REQUEST_ID });
    const error = fields.optional("error", (name) => fields.map(name));
    if (error === undefined) return fields.value("result");
    const text = printable(error.str("message", { max: 4 * MAX_TEXT_CHARACTERS }));
    throw new SessionError("service_failed", `The process cannot answer ${method}: ${text}`);
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw new SessionError("protocol", `The answer to ${method} is none`, { cause: error });
  }
}
