/**
 * What a server answered `initialize` with, as far as an agent builds on it: to tell whether a new server
 * can take the place of the one that the agent knows.
 */

import { type Bytes, fromUtf8Lossy } from "../bytes.ts";

/** The lists of which a server can say that they have changed. */
export const LISTS = ["tools", "prompts", "resources"] as const;

/** One of {@link LISTS}. */
export type ListName = typeof LISTS[number];

/** A server's answer to `initialize`. */
export interface InitializeAnswer {
  /** `protocolVersion`, as canonical JSON. */
  readonly protocolVersion: string;
  /** Each capability by its name, as canonical JSON. */
  readonly capabilities: ReadonlyMap<string, string>;
  /** `serverInfo` and `instructions`, as canonical JSON. */
  readonly description: string;
  /** The lists whose changes the server announces. */
  readonly announces: readonly ListName[];
}

/** Returns the answer in a response whose `result` is one; null when it has an error in its place. */
export function initializeAnswerOf(response: Bytes): InitializeAnswer | null {
  const result = member(JSON.parse(fromUtf8Lossy(response)), "result");
  if (result === undefined) return null;
  const capabilities = member(result, "capabilities");
  const entries = isObject(capabilities) ? Object.entries(capabilities) : [];
  return {
    protocolVersion: canonicalJson(member(result, "protocolVersion")),
    capabilities: new Map(entries.map(([name, value]) => [name, canonicalJson(value)])),
    description: canonicalJson([member(result, "serverInfo"), member(result, "instructions")]),
    announces: LISTS.filter((list) => member(member(capabilities, list), "listChanged") === true),
  };
}

/** Returns what an agent that knows `first` would be wrong about with `second`; empty when nothing. */
export function differences(first: InitializeAnswer, second: InitializeAnswer): string[] {
  const found: string[] = [];
  if (first.protocolVersion !== second.protocolVersion) {
    found.push(`its protocol version is ${second.protocolVersion}, was ${first.protocolVersion}`);
  }
  const names = new Set([...first.capabilities.keys(), ...second.capabilities.keys()]);
  for (const name of names) {
    const [before, now] = [first.capabilities.get(name), second.capabilities.get(name)];
    if (before === now) continue;
    const how = before === undefined ? "is new" : now === undefined ? "is gone" : "has changed";
    found.push(`its capability ${JSON.stringify(name)} ${how}`);
  }
  return found;
}

/** Returns the one form of a JSON value: members sorted by their names, no white space. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value) ?? "null";
  const members = Object.keys(value).sort().map((name) =>
    `${JSON.stringify(name)}:${canonicalJson(value[name])}`
  );
  return `{${members.join(",")}}`;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function member(value: unknown, name: string): unknown {
  return isObject(value) ? value[name] : undefined;
}
