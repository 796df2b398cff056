/**
 * Ids of a server that may be replaced by another while the agent goes on.
 *
 * The first server's ids reach the agent as they are. A later one may use an id again on whose first
 * request the agent still works; so from the second server on, the agent sees each id (and each progress
 * token of a request) as a string that names the server's number in the row and holds the server's own
 * token. Nothing is remembered: a reply tells by itself which server it is for, and one that is not for the
 * present server leads nowhere. The strings begin with random bytes that no server gets to see, so none can
 * make one up beforehand. Requests that Talos itself makes have ids of the same kind.
 */

import { type Bytes, fromUtf8, hex, utf8 } from "../bytes.ts";
import type { RandomBytes } from "../crypto/random.ts";
import { MAX_IDENTIFIER_BYTES } from "../limits.ts";
import { type MessageId, parseMessageId } from "./message_id.ts";
import type { ScannedMessage } from "./scan.ts";
import { replaceToken, tokensAt } from "./tokens.ts";

const NONCE_BYTES = 8;
const REQUEST_PROGRESS = ["params", "_meta", "progressToken"];
const NOTIFIED_PROGRESS = ["params", "progressToken"];

/** What an agent's message is for the present server. */
export type Inward =
  /** To be passed on, with the server's own ids in it. */
  | { readonly message: ScannedMessage; readonly bytes: Bytes }
  /** For a server that is gone. */
  | null;

/** The ids of one server after the other, as their agent sees them. */
export class ServerIds {
  readonly #prefix: string;
  readonly #ownPrefix: string;
  #server = 1;
  #lastOwn = 0;

  /** Begins with the first server. */
  constructor(random: RandomBytes) {
    this.#prefix = `talos-${hex(random(NONCE_BYTES))}:`;
    this.#ownPrefix = `talos-${hex(random(NONCE_BYTES))}:own:`; // servers get to see this one
  }

  /** The number of the present server, from 1. */
  get server(): number {
    return this.#server;
  }

  /** Another server takes the place of the present one. */
  replaced(): void {
    this.#server++;
  }

  /** Returns the token of an id for a request that Talos makes itself. */
  ownToken(): Bytes {
    return utf8(JSON.stringify(`${this.#ownPrefix}${++this.#lastOwn}`));
  }

  /** Tells whether the id with this key is one that {@link ownToken} returned. */
  isOwn(key: string): boolean {
    return key.startsWith(`s:${this.#ownPrefix}`);
  }

  /** Returns what the agent sees instead of an id or progress token of the present server. */
  outwardToken(token: Bytes): Bytes {
    if (this.#server === 1) return token;
    return utf8(JSON.stringify(this.#mark() + fromUtf8(token)));
  }

  /** Returns the id at the present server that the agent sees as `id`; null when it is not of this server. */
  inwardId(id: MessageId): MessageId | null {
    if (this.#server === 1) return id;
    const mark = `s:${this.#mark()}`;
    return id.key.startsWith(mark) ? parseMessageId(utf8(id.key.slice(mark.length))) : null;
  }

  /**
   * Returns a message of the present server as the agent is to see it; null when its id or progress token
   * is too long for that, or when it has several progress tokens.
   */
  outward(message: ScannedMessage, bytes: Bytes): Bytes | null {
    if (this.#server === 1 || message.kind === "response") return bytes;
    const token = message.kind === "request" ? message.id.token : message.cancels?.token;
    if (token === undefined) return bytes;
    const seen = this.outwardToken(token);
    if (seen.length > MAX_IDENTIFIER_BYTES) return null;
    const renamed = replaceToken(bytes, token, seen);
    if (message.kind === "notification") return renamed;
    const [progress, ...more] = tokensAt(renamed, REQUEST_PROGRESS);
    if (progress === undefined) return renamed;
    if (more.length > 0 || progress.length > MAX_IDENTIFIER_BYTES) return null;
    return replaceToken(renamed, progress, this.outwardToken(progress));
  }

  /**
   * Returns a message of the agent as the present server is to see it; null when it is for a former one, or
   * reports progress without one token that says for which.
   */
  inward(message: ScannedMessage, bytes: Bytes): Inward {
    if (this.#server === 1) return { message, bytes };
    if (message.kind === "response") return this.#inwardResponse(message, bytes);
    if (message.kind === "request" || message.method !== "notifications/progress") {
      return { message, bytes };
    }
    const [token, ...more] = tokensAt(bytes, NOTIFIED_PROGRESS);
    const id = token === undefined || more.length > 0 ? null : parseMessageId(token);
    const own = id === null ? null : this.inwardId(id);
    if (token === undefined || own === null) return null;
    return { message, bytes: replaceToken(bytes, token, own.token) };
  }

  #inwardResponse(message: ScannedMessage & { kind: "response" }, bytes: Bytes): Inward {
    if (message.id === null) return null; // an error about nobody knows which server's message
    const id = this.inwardId(message.id);
    if (id === null) return null;
    return { message: { ...message, id }, bytes: replaceToken(bytes, message.id.token, id.token) };
  }

  #mark(): string {
    return `${this.#prefix}${this.#server}:`;
  }
}
