/** Options that take a value: how it is read, and what is said when it cannot be. */

import { InvalidArgumentError, Option } from "commander";
import { type Via, VIAS } from "../discovery/via.ts";
import { messageOf } from "../errors.ts";
import { type HostPort, MAX_PORT, parseHostPort, parseListenPort } from "../identity/host_port.ts";
import {
  MAX_CHILDREN_PER_PEER_SERVICE,
  MAX_DETACH_TIMEOUT_MS,
  MAX_INVITE_USES,
} from "../limits.ts";

/** The least that `--max-message` may say. */
const MIN_MAX_MESSAGE_BYTES = 64 * 1024;

/** The most that `--max-message` may say: a message is held whole. */
const MAX_MAX_MESSAGE_BYTES = 1024 * 1024 * 1024;

/** An option that collects one value each time it is given. */
export function repeatable(flags: string, description: string): Option {
  return new Option(flags, description)
    .default([], "none")
    .argParser((value: string, previous: string[]) => [...previous, value]);
}

/** Returns the port to listen on that `text` says, 0 to 65,535. Throws InvalidArgumentError. */
export function parsePort(text: string): number {
  const port = parseListenPort(text);
  if (port === null) throw new InvalidArgumentError(`It must be 0 to ${MAX_PORT}.`);
  return port;
}

/** Returns the address to listen on that `HOST:PORT` says; the port may be 0. Throws InvalidArgumentError. */
export function parseListen(text: string): HostPort {
  const at = text.lastIndexOf(":");
  const port = parseListenPort(text.slice(at + 1));
  if (at < 0 || port === null) {
    throw new InvalidArgumentError(`It must be HOST:PORT, with a port of 0 to ${MAX_PORT}.`);
  }
  try {
    return { host: parseHostPort(`${text.slice(0, at)}:1`).host, port };
  } catch (error) {
    throw new InvalidArgumentError(`${messageOf(error)}.`);
  }
}

/** Returns the longest message that `text` allows, in bytes. Throws InvalidArgumentError. */
export function parseMaxMessage(text: string): number {
  const bytes = /^\d{1,10}$/.test(text) ? Number(text) : 0;
  if (bytes < MIN_MAX_MESSAGE_BYTES || bytes > MAX_MAX_MESSAGE_BYTES) {
    throw new InvalidArgumentError(
      `It must be ${MIN_MAX_MESSAGE_BYTES} to ${MAX_MAX_MESSAGE_BYTES} bytes.`,
    );
  }
  return bytes;
}

/** Returns how many milliseconds the seconds that `text` names are. Throws InvalidArgumentError. */
export function parseDetachTimeout(text: string): number {
  const ms = /^\d{1,6}$/.test(text) ? Number(text) * 1000 : Infinity;
  if (ms > MAX_DETACH_TIMEOUT_MS) {
    throw new InvalidArgumentError(`It must be 0 to ${MAX_DETACH_TIMEOUT_MS / 1000} seconds.`);
  }
  return ms;
}

/** Returns the way to a host that `text` names. Throws InvalidArgumentError. */
export function parseVia(text: string): Via {
  const via = VIAS.find((known) => known === text);
  if (via === undefined) throw new InvalidArgumentError(`It must be ${VIAS.join(", ")}.`);
  return via;
}

/** Returns how many children `text` says are kept ready for each peer. Throws InvalidArgumentError. */
export function parsePrewarm(text: string): number {
  const count = /^\d{1,2}$/.test(text) ? Number(text) : Infinity;
  if (count > MAX_CHILDREN_PER_PEER_SERVICE) {
    throw new InvalidArgumentError(`It must be 0 to ${MAX_CHILDREN_PER_PEER_SERVICE}.`);
  }
  return count;
}

/** Returns how many may use an invite. Throws InvalidArgumentError. */
export function parseUses(text: string): number {
  const uses = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (uses < 1 || uses > MAX_INVITE_USES) {
    throw new InvalidArgumentError(`It must be 1 to ${MAX_INVITE_USES}.`);
  }
  return uses;
}

/** Returns how many lines `text` asks for. Throws InvalidArgumentError. */
export function parseLines(text: string): number {
  if (!/^\d{1,6}$/.test(text)) throw new InvalidArgumentError("It must be 0 to 999999.");
  return Number(text);
}
