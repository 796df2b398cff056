/**
 * What a message of an agent asks for, as far as a policy decides about it.
 *
 * Read from the bytes that the server gets, scanned strictly before: every member once, whatever the depth.
 * Where a policy depends on a member, its whole object is read: one that holds more than is known is
 * malformed, for it might mean something else to the server.
 */

import type { Bytes } from "../../bytes.ts";
import { keyHash } from "../key_table.ts";
import type { ScannedNotification, ScannedRequest } from "../scan.ts";
import { decodeString, JsonReader, OPEN_ARRAY, OPEN_OBJECT } from "../strict.ts";
import { METHODS } from "./methods.ts";
import type { Subject } from "./policy.ts";

/** What a message asks for. */
export type PolicyRequest =
  /** Nothing that a policy restricts. */
  | { readonly kind: "session"; readonly method: string }
  /** A list, which is filtered. */
  | { readonly kind: "list"; readonly method: string }
  /** To use all of `names`. */
  | {
    readonly kind: "use";
    readonly method: string;
    readonly subject: Subject;
    readonly names: readonly string[];
    /** Returns the JSON token of a tool's arguments, null for none; null where no rule is about arguments. */
    readonly args: (() => Bytes | null) | null;
  }
  /** What MCP does not name, or a task that no call of this session made. */
  | { readonly kind: "unknown"; readonly method: string }
  /** What cannot be decided about, and so is denied. */
  | { readonly kind: "malformed"; readonly method: string; readonly why: string };

/** Tells which tool made a task; null where none of this session did. */
export type ToolOfTask = (taskId: string) => string | null;

/** Returns what a request or notification asks for. */
export function requestOf(
  message: ScannedRequest | ScannedNotification,
  bytes: Bytes,
  toolOfTask: ToolOfTask,
): PolicyRequest {
  const { method, name, uri } = message;
  const known = METHODS.get(method);
  if (known === undefined) return { kind: "unknown", method };
  if (known.isRequest !== (message.kind === "request")) {
    return { kind: "malformed", method, why: known.isRequest ? "it has no id" : "it has an id" };
  }
  const malformed = (why: string): PolicyRequest => ({ kind: "malformed", method, why });
  const use: MakeUse = (subject, names, args) => (
    { kind: "use", method, subject, names, args: args ?? null }
  );
  switch (known.kind) {
    case "session":
    case "list":
      return { kind: known.kind, method };
    case "named": {
      if (name === null) return malformed("it names nothing");
      return known.subject === "tools"
        ? use("tools", [name], () => memberOf(bytes, ["params", "arguments"]))
        : use("prompts", [name]);
    }
    case "uri":
      return uri === null ? malformed("it has no uri") : use("resources", [uri]);
    case "reference":
      return referenceUse(memberOf(bytes, ["params", "ref"]), use) ??
        malformed("its ref is of no known kind");
    case "listen": {
      const uris = subscribedUris(memberOf(bytes, ["params", "notifications"]));
      return uris === null
        ? malformed("its notifications are of no known kind")
        : use("resources", uris);
    }
    case "task": {
      const id = textOf(memberOf(bytes, ["params", "taskId"]));
      const tool = id === null ? null : toolOfTask(id);
      // One that was made in no way that MCP knows goes by its method alone, as what is foreign does.
      return tool === null ? { kind: "unknown", method } : use("tools", [tool]);
    }
    default:
      return known.kind satisfies never;
  }
}

type MakeUse = (
  subject: Subject,
  names: readonly string[],
  args?: () => Bytes | null,
) => PolicyRequest;

/** `{"type":"ref/prompt","name"}` or `{"type":"ref/resource","uri"}`, with a title perhaps. */
function referenceUse(token: Bytes | null, use: MakeUse): PolicyRequest | null {
  const members = token === null ? null : membersOf(token);
  if (members === null) return null;
  const text = (name: string) => textOf(members.get(name) ?? null);
  const only = (...names: readonly string[]) =>
    [...members.keys()].every((key) => names.includes(key));
  const [type, name, uri] = [text("type"), text("name"), text("uri")];
  if (type === "ref/prompt" && name !== null && only("type", "name", "title")) {
    return use("prompts", [name]);
  }
  if (type === "ref/resource" && uri !== null && only("type", "uri")) {
    return use("resources", [uri]);
  }
  return null;
}

const FILTERS: ReadonlySet<string> = new Set([
  "toolsListChanged",
  "promptsListChanged",
  "resourcesListChanged",
  "resourceSubscriptions",
]);

/** Returns the URIs that a filter of notifications names; null for one that is not known. */
function subscribedUris(token: Bytes | null): readonly string[] | null {
  const members = token === null ? null : membersOf(token);
  if (members === null || [...members.keys()].some((key) => !FILTERS.has(key))) return null;
  const uris = members.get("resourceSubscriptions");
  return uris === undefined ? [] : textsOf(uris);
}

// One reader serves all: reading is synchronous and calls nothing that could come back here.
const reader = new JsonReader(keyHash(crypto.getRandomValues(new Uint32Array(2))));

/** Returns the JSON token of the member that `path` leads to in an object; null where there is none. */
export function memberOf(object: Bytes, path: readonly string[]): Bytes | null {
  let token: Bytes | null = object;
  for (const key of path) {
    if (token === null) return null;
    token = membersOf(token)?.get(key) ?? null;
  }
  return token;
}

/** Returns the members of an object, as JSON tokens; null for what is none. Of two of a name the last. */
export function membersOf(token: Bytes): ReadonlyMap<string, Bytes> | null {
  reader.open(token, false);
  try {
    if (reader.peek() !== OPEN_OBJECT) return null;
    const members = new Map<string, Bytes>();
    reader.enterObject(false);
    while (reader.nextKey()) {
      const key = reader.text();
      reader.peek();
      const start = reader.at;
      reader.value();
      members.set(key, token.subarray(start, reader.at));
    }
    return members;
  } finally {
    reader.close();
  }
}

/** Returns the texts of an array; null for anything else. */
function textsOf(token: Bytes): readonly string[] | null {
  reader.open(token, false);
  try {
    if (reader.peek() !== OPEN_ARRAY) return null;
    const texts: string[] = [];
    reader.enterArray();
    while (reader.nextElement()) {
      reader.peek();
      const start = reader.at;
      reader.value();
      const text = textOf(token.subarray(start, reader.at));
      if (text === null) return null;
      texts.push(text);
    }
    return texts;
  } finally {
    reader.close();
  }
}

const QUOTE = 0x22;

/** Returns the text that a JSON token is; null for anything else. */
export function textOf(token: Bytes | null): string | null {
  return token !== null && token[0] === QUOTE ? decodeString(token, 1, token.length - 1) : null;
}
