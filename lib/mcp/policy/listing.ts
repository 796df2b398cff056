/**
 * Lists without what may not be used. What stays is passed on as the bytes it came as.
 *
 * A list that names one of its own members twice could be read in two ways, and is refused as a whole; so is
 * none that only holds something odd further down.
 */

import { type Bytes, concat, utf8 } from "../../bytes.ts";
import { MAX_IDENTIFIER_BYTES, MAX_URI_BYTES } from "../../limits.ts";
import { keyHash } from "../key_table.ts";
import { Violation } from "../refusals.ts";
import { decodeString, JsonReader, OPEN_ARRAY, OPEN_OBJECT } from "../strict.ts";
import type { Subject } from "./policy.ts";

/** A list: where it stands in a result, and by what its elements are told apart. */
export interface Listing {
  /** The member of the result. */
  readonly member: string;
  /** The member of each element. */
  readonly key: string;
  /** What is listed. */
  readonly subject: Subject | "tasks";
}

/** The lists, by the method that asks for them. */
export const LISTINGS: ReadonlyMap<string, Listing> = new Map<string, Listing>([
  ["tools/list", { member: "tools", key: "name", subject: "tools" }],
  ["prompts/list", { member: "prompts", key: "name", subject: "prompts" }],
  ["resources/list", { member: "resources", key: "uri", subject: "resources" }],
  ["resources/templates/list", {
    member: "resourceTemplates",
    key: "uriTemplate",
    subject: "resources",
  }],
  ["tasks/list", { member: "tasks", key: "taskId", subject: "tasks" }],
]);

/** An element of a list. */
export interface ListedElement {
  /** What it is called; null when it has no name by which it could be used. */
  readonly name: string | null;
  /** Its own bytes. */
  readonly bytes: Bytes;
}

/** A list in a response. */
export interface FoundList {
  /** Its elements. */
  readonly elements: readonly ListedElement[];
  /** Where the array begins in the line: at its bracket. */
  readonly start: number;
  /** Where it ends: behind its bracket. */
  readonly stop: number;
  /** The JSON token of `nextCursor`; null when nothing follows. */
  readonly nextCursor: Bytes | null;
}

// One reader serves all: reading is synchronous and calls nothing that could come back here.
const reader = new JsonReader(keyHash(crypto.getRandomValues(new Uint32Array(2))));

/**
 * Returns the list in a response, null where it has none (an error, say). The line was scanned towards the
 * agent. Throws {@link Violation} for what two readers could take differently.
 */
export function findList(response: Bytes, { member, key }: Listing): FoundList | null {
  reader.open(response, false);
  try {
    let found: FoundList | null = null;
    eachMember((name, first) => {
      if (name === "result" && first === OPEN_OBJECT) found = listIn(response, member, key);
      else reader.value();
    });
    return found;
  } finally {
    reader.close();
  }
}

function listIn(line: Bytes, member: string, key: string): FoundList | null {
  const lists: Omit<FoundList, "nextCursor">[] = []; // one at most: no member comes twice
  let nextCursor: Bytes | null = null;
  eachMember((name, first, start) => {
    if (name === member && first === OPEN_ARRAY) {
      const elements = elementsOf(line, key);
      lists.push({ elements, start, stop: reader.at });
      return;
    }
    if (name === member) throw new Violation("not_a_message", start);
    reader.value();
    if (name === "nextCursor") nextCursor = line.subarray(start, reader.at);
  });
  const [list] = lists;
  return list === undefined ? null : { ...list, nextCursor };
}

function elementsOf(line: Bytes, key: string): readonly ListedElement[] {
  const elements: ListedElement[] = [];
  reader.enterArray();
  while (reader.nextElement()) {
    const first = reader.peek();
    const start = reader.at;
    let name: string | null = null;
    if (first === OPEN_OBJECT) {
      eachMember((member, _first, at) => {
        reader.value();
        if (member === key) name = nameIn(line.subarray(at, reader.at), key);
      });
    } else reader.value();
    elements.push({ name, bytes: line.subarray(start, reader.at) });
  }
  return elements;
}

/** Goes through the object that is next; `visit` reads each member's value. */
function eachMember(visit: (name: string, first: number, start: number) => void): void {
  reader.peek();
  reader.enterObject(true);
  while (reader.nextKey()) {
    const name = reader.text();
    const first = reader.peek();
    visit(name, first, reader.at);
  }
}

const QUOTE = 0x22;

/** Returns the text of a name that a request could have; null for any other. */
function nameIn(token: Bytes, key: string): string | null {
  const limit = key === "name" || key === "taskId" ? MAX_IDENTIFIER_BYTES : MAX_URI_BYTES;
  if (token[0] !== QUOTE || token.length > limit) return null;
  const text = decodeString(token, 1, token.length - 1);
  return text.isWellFormed() && !text.includes("\0") ? text : null;
}

const COMMA = utf8(",");
const OPEN = utf8("[");
const CLOSE = utf8("]");

/** Returns the response with those elements alone that `keeps` says; the very same one if that is all. */
export function withElements(
  response: Bytes,
  { elements, start, stop }: FoundList,
  keeps: (name: string) => boolean,
): Bytes {
  const kept = elements.filter(({ name }) => name !== null && keeps(name));
  if (kept.length === elements.length) return response;
  const parts = kept.flatMap(({ bytes }, at) => at === 0 ? [bytes] : [COMMA, bytes]);
  return concat(response.subarray(0, start), OPEN, ...parts, CLOSE, response.subarray(stop));
}
