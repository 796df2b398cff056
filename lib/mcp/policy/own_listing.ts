/**
 * Which tools only read, by the server's own word: the host asks for the list itself.
 *
 * What an agent says of a tool counts nothing, and neither does a list that passed by on its behalf. The list
 * holds for a minute, or until the server announces another one. Without a list no tool only reads; a tool
 * that is listed twice only reads if it does so both times.
 */

import { type Bytes, concat, fromUtf8Lossy, hex, utf8 } from "../../bytes.ts";
import type { Clock } from "../../clock.ts";
import type { RandomBytes } from "../../crypto/random.ts";
import { MAX_OWN_LISTING_PAGES, OWN_LISTING_TIMEOUT_MS, OWN_LISTING_TTL_MS } from "../../limits.ts";
import { parseMessageId } from "../message_id.ts";
import { Violation } from "../refusals.ts";
import type { SessionLines } from "../session_lines.ts";
import { findList, LISTINGS } from "./listing.ts";
import { memberOf } from "./request.ts";

/** What fetching the list needs. */
export interface OwnListingOptions {
  /** The ends of the session. */
  readonly lines: SessionLines;
  /** Time. */
  readonly clock: Clock;
  /** Makes ids that nobody guesses. */
  readonly random: RandomBytes;
}

/** Of a request's `_meta`, what MCP 2026-07-28 has in every request. */
const META_KEYS = ["protocolVersion", "clientInfo", "clientCapabilities"]
  .map((key) => `io.modelcontextprotocol/${key}`);

const NONCE_BYTES = 8;

/** The server's own list of tools, as the host fetched it. */
export class OwnListing {
  readonly #options: OwnListingOptions;
  readonly #prefix: string;
  #tools: ReadonlyMap<string, boolean> = new Map();
  #fetchedAt = -Infinity;
  #changes = 0;
  #count = 0;
  #fetching: Promise<void> | null = null;
  #waiting: { readonly key: string; readonly answered: (response: Bytes | null) => void } | null =
    null;
  #ended = false;

  /** Begins without a list. */
  constructor(options: OwnListingOptions) {
    this.#options = options;
    this.#prefix = `talos-${hex(options.random(NONCE_BYTES))}:tools:`;
  }

  /** Whether there is a list that holds. */
  get isFresh(): boolean {
    return this.#options.clock.monotonic() - this.#fetchedAt < OWN_LISTING_TTL_MS;
  }

  /** Whether the server lists a tool as read-only. */
  isReadOnly(tool: string): boolean {
    return this.#tools.get(tool) === true;
  }

  /** The server has announced another list. */
  changed(): void {
    this.#changes++;
    this.#fetchedAt = -Infinity;
  }

  /** Nothing more is fetched. */
  end(): void {
    this.#ended = true;
    this.#waiting?.answered(null);
  }

  /**
   * Resolves when there is a list, or none can be had: then no tool only reads, until somebody asks again.
   *
   * @param request The agent's request on whose behalf it is fetched: its `_meta` says which MCP is spoken.
   */
  fetch(request: Bytes): Promise<void> {
    if (this.isFresh) return Promise.resolve();
    this.#fetching ??= this.#fetchAll(metaOf(request)).finally(() => this.#fetching = null);
    return this.#fetching;
  }

  /** Takes a response that is for us; false when it is not. */
  take(key: string, response: Bytes): boolean {
    if (!key.startsWith(`s:${this.#prefix}`)) return false;
    if (this.#waiting?.key === key) this.#waiting.answered(response.slice());
    return true;
  }

  async #fetchAll(meta: Bytes | null): Promise<void> {
    const changes = this.#changes;
    const tools = new Map<string, boolean>();
    let cursor: Bytes | null = null;
    for (let page = 0; page < MAX_OWN_LISTING_PAGES && !this.#ended; page++) {
      const response: Bytes | null = await this.#ask(cursor, meta);
      const list = response === null ? null : listIn(response);
      if (list === null) break;
      for (const { name, isReadOnly } of list.tools) {
        tools.set(name, (tools.get(name) ?? true) && isReadOnly);
      }
      cursor = list.nextCursor;
      if (cursor !== null) continue;
      this.#tools = tools;
      // One that was announced in the meantime is fetched at the next call.
      if (changes === this.#changes) this.#fetchedAt = this.#options.clock.monotonic();
      return;
    }
    this.#tools = new Map();
    this.#fetchedAt = -Infinity;
  }

  async #ask(cursor: Bytes | null, meta: Bytes | null): Promise<Bytes | null> {
    const { lines, clock } = this.#options;
    const token = utf8(JSON.stringify(`${this.#prefix}${++this.#count}`));
    const id = parseMessageId(token);
    if (id === null || lines.calls.add(id, "tools/list", null) !== "added") return null;
    const { promise, resolve } = Promise.withResolvers<Bytes | null>();
    this.#waiting = { key: id.key, answered: resolve };
    using _timer = clock.after(OWN_LISTING_TIMEOUT_MS, () => {
      lines.calls.cancelled(id.key);
      resolve(null);
    });
    lines.toServer(requestLine(token, cursor, meta));
    const response = await promise;
    this.#waiting = null;
    return response;
  }
}

function requestLine(id: Bytes, cursor: Bytes | null, meta: Bytes | null): Bytes {
  const params = [
    ...(cursor === null ? [] : [concat(utf8('"cursor":'), cursor)]),
    ...(meta === null ? [] : [concat(utf8('"_meta":'), meta)]),
  ];
  const [first, ...others] = params;
  return concat(
    utf8('{"jsonrpc":"2.0","id":'),
    id,
    utf8(',"method":"tools/list","params":{'),
    ...(first === undefined ? [] : [first]),
    ...others.flatMap((param) => [utf8(","), param]),
    utf8("}}"),
  );
}

function metaOf(request: Bytes): Bytes | null {
  const members = META_KEYS.flatMap((key) => {
    const token = memberOf(request, ["params", "_meta", key]);
    return token === null ? [] : [concat(utf8(`${JSON.stringify(key)}:`), token)];
  });
  const [first, ...others] = members;
  if (first === undefined) return null;
  return concat(utf8("{"), first, ...others.flatMap((one) => [utf8(","), one]), utf8("}"));
}

interface ToolPage {
  readonly tools: readonly { readonly name: string; readonly isReadOnly: boolean }[];
  readonly nextCursor: Bytes | null;
}

function listIn(response: Bytes): ToolPage | null {
  try {
    const listing = LISTINGS.get("tools/list");
    const list = listing === undefined ? null : findList(response, listing);
    if (list === null) return null;
    const { elements, nextCursor } = list;
    const tools = elements.flatMap(({ name, bytes }) =>
      name === null ? [] : [{ name, isReadOnly: saysReadOnly(bytes) }]
    );
    return { tools, nextCursor: nextCursor?.[0] === QUOTE ? nextCursor.slice() : null };
  } catch (error) {
    if (error instanceof Violation) return null;
    throw error;
  }
}

const QUOTE = 0x22;

function saysReadOnly(tool: Bytes): boolean {
  const hint = memberOf(tool, ["annotations", "readOnlyHint"]);
  return hint !== null && fromUtf8Lossy(hint) === "true";
}
