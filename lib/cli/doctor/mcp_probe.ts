/**
 * Asks an MCP server who it is and how many tools it has, over messages. Pure but for the messages and the time.
 *
 * What it says of itself is text from outside: shortened, printable, counted and not trusted.
 */

import { type Bytes, fromUtf8, utf8 } from "../../bytes.ts";
import { TalosError } from "../../errors.ts";
import { isJsonObject, type Json, type JsonObject } from "../../identity/strict_json.ts";
import { printable } from "../../log.ts";
import { VERSION } from "../../version.ts";

/** Messages to a server and back. */
export interface Messages {
  /** Sends one. */
  send(message: Bytes): Promise<void>;
  /** Returns the next one; null when there is none any more. */
  receive(): Promise<Bytes | null>;
}

/** What a server says. */
export interface ServerFacts {
  /** What it calls itself. */
  readonly name: string;
  /** Its version, as it says. */
  readonly version: string;
  /** How many tools it lists. */
  readonly tools: number;
  /** How long it took to answer `initialize`, in milliseconds. */
  readonly initializeMs: number;
  /** How long it took to answer `ping`, in milliseconds. */
  readonly roundTripMs: number;
}

const PROTOCOL_VERSION = "2025-06-18";
const MAX_SHOWN_CHARACTERS = 80;

/** Pages of tools that are asked for: real servers have one. */
const MAX_PAGES = 100;

/**
 * Returns what the server says. Throws what the messages throw, and TalosError "service_failed" when it refuses
 * or ends; `whyEnded` tells why, where somebody knows.
 */
export async function probeServer(
  messages: Messages,
  monotonic: () => number,
  whyEnded: () => string | undefined,
): Promise<ServerFacts> {
  let lastId = 0;
  const call = async (method: string, params?: object): Promise<Reply> => {
    const id = ++lastId;
    await messages.send(message({ id, method, params }));
    for (;;) {
      const bytes = await messages.receive();
      if (bytes === null) {
        const why = whyEnded() ?? "it closed the session";
        throw new TalosError("service_failed", `The server ended before it answered: ${why}`);
      }
      const reply = replyOf(bytes, id);
      if (reply !== null) return reply;
    }
  };
  const began = monotonic();
  const initialized = resultOf(
    "initialize",
    await call("initialize", {
      protocolVersion: PROTOCOL_VERSION,
      capabilities: {},
      clientInfo: { name: "talos doctor", version: VERSION },
    }),
  );
  const initializeMs = monotonic() - began;
  await messages.send(message({ method: "notifications/initialized" }));

  const asked = monotonic();
  await call("ping"); // whatever it answers, it came back
  const roundTripMs = monotonic() - asked;

  const { serverInfo, capabilities } = initialized;
  const info = isJsonObject(serverInfo) ? serverInfo : {};
  let tools = 0;
  if (isJsonObject(capabilities) && capabilities["tools"] !== undefined) {
    let cursor: string | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const params = cursor === undefined ? {} : { cursor };
      const listed = resultOf("tools/list", await call("tools/list", params));
      const { tools: some, nextCursor } = listed;
      tools += Array.isArray(some) ? some.length : 0;
      if (typeof nextCursor !== "string") break;
      cursor = nextCursor;
    }
  }
  return {
    name: shown(info["name"]),
    version: shown(info["version"]),
    tools,
    initializeMs,
    roundTripMs,
  };
}

interface Reply {
  readonly result: Json | undefined;
  readonly error: Json | undefined;
}

function message(fields: object): Bytes {
  return utf8(JSON.stringify({ jsonrpc: "2.0", ...fields }));
}

/** Returns the reply to `id`; null for every other message. */
function replyOf(bytes: Bytes, id: number): Reply | null {
  let value: Json;
  try {
    value = JSON.parse(fromUtf8(bytes));
  } catch {
    return null; // no message: no answer either
  }
  if (!isJsonObject(value) || value["id"] !== id || value["method"] !== undefined) return null;
  return { result: value["result"], error: value["error"] };
}

function resultOf(method: string, { result, error }: Reply): JsonObject {
  if (isJsonObject(error)) {
    throw new TalosError(
      "service_failed",
      `The server refuses ${method}: ${shown(error["message"])}`,
    );
  }
  return isJsonObject(result) ? result : {};
}

function shown(value: Json | undefined): string {
  return typeof value === "string" ? printable(value, MAX_SHOWN_CHARACTERS) : "?";
}
