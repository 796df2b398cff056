/**
 * What two runs of the same script may differ in although nothing between client and server changed it.
 *
 * Every entry says why. All else of a transcript must be equal to the letter, the order of the members of
 * every object included. An entry that no message of a comparison needed fails the test, so that the list
 * stays as short as it can be.
 */

import type { Transcript } from "./recording.ts";

/** A value of JSON. */
export type Json =
  | string
  | number
  | boolean
  | null
  | Json[]
  | { [key: string]: Json };

/** Names for the random tokens of one transcript. */
export interface TokenNames {
  /** Returns the name of `token`: the same for the same token, counted in the order of their first use. */
  of(token: string): string;
}

/** One thing that two runs may differ in. */
export interface Normalisation {
  /** What it is called in a failure. */
  readonly name: string;
  /** Why two runs differ in it. */
  readonly reason: string;
  /** Returns `message` with something in its place that is the same in every run. */
  readonly apply: (message: Json, names: TokenNames) => Json;
}

/** What a comparison has done. */
export interface Normalised {
  /** The transcript, as JSON texts. */
  readonly transcript: Transcript;
  /** How many messages each normalisation changed, by its name. */
  readonly changed: ReadonlyMap<string, number>;
}

/** Applies every one of `table` to every message of `transcript`. */
export function normalise(transcript: Transcript, table: readonly Normalisation[]): Normalised {
  const names = tokenNames();
  const changed = new Map<string, number>(table.map(({ name }) => [name, 0]));
  const applyAll = (text: string): string => {
    let current = text;
    for (const { name, apply } of table) {
      const next = JSON.stringify(apply(JSON.parse(current), names));
      if (next !== current) changed.set(name, (changed.get(name) ?? 0) + 1);
      current = next;
    }
    return current;
  };
  const received = transcript.received.map(applyAll);
  const sent = transcript.sent.map(applyAll);
  return { transcript: { sent, received }, changed };
}

function tokenNames(): TokenNames {
  const names = new Map<string, string>();
  return {
    of(token) {
      const name = names.get(token) ?? `<token ${names.size + 1}>`;
      names.set(token, name);
      return name;
    },
  };
}

/** Returns `value` with every string in it changed by `change`, which learns the member it stands in. */
export function mapStrings(
  value: Json,
  change: (text: string, member: string) => string,
  member = "",
): Json {
  if (typeof value === "string") return change(value, member);
  if (Array.isArray(value)) return value.map((item) => mapStrings(item, change, member));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, mapStrings(inner, change, key)]),
  );
}

const RANDOM_TOKEN =
  /\b(?:[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12})\b/g;
const TIME_OF_DAY = /(created at ).*$/;
const MOMENTS: ReadonlySet<string> = new Set(["createdAt", "lastUpdatedAt"]);

/** What a task or an elicitation is called. */
export const RANDOM_TOKENS: Normalisation = {
  name: "random tokens",
  reason:
    "each run draws its own task ids (16 bytes in hex) and elicitation ids (UUID version 4); " +
    "the same token keeps the same name, so that a reference to another task shows",
  apply: (message, names) =>
    mapStrings(message, (text) => text.replace(RANDOM_TOKEN, (token) => names.of(token))),
};

/** When a task was made and changed. */
export const TASK_MOMENTS: Normalisation = {
  name: "task moments",
  reason: "createdAt and lastUpdatedAt of a task are the time of the run",
  apply: (message) =>
    mapStrings(
      message,
      (text, member) => MOMENTS.has(member) && !Number.isNaN(Date.parse(text)) ? "<moment>" : text,
    ),
};

/** The time of day in the dynamic resources of server-everything. */
export const TIMES_OF_DAY: Normalisation = {
  name: "times of day",
  reason: "server-everything writes the time of day into its dynamic resources",
  apply: (message) => mapStrings(message, (text) => text.replace(TIME_OF_DAY, "$1<time>")),
};

/** The same in a resource that is sent as base64. */
export const TIMES_IN_BLOBS: Normalisation = {
  name: "times of day in base64",
  reason: "the same time of day, in a resource that is sent as bytes",
  apply: (message) =>
    mapStrings(message, (text, member) => {
      if (member !== "blob") return text;
      const plain = new TextDecoder().decode(Uint8Array.fromBase64(text));
      const timeless = plain.replace(TIME_OF_DAY, "$1<time>");
      return timeless === plain ? text : timeless;
    }),
};

const SIMULATED_LOG = /^(?:\w+-level message|Alert level-message)$/;

/** The simulated log of server-everything. */
export const SIMULATED_LOGS: Normalisation = {
  name: "simulated log",
  reason: "server-everything draws level and text of its simulated log messages at random",
  apply: (message) => {
    const { method, params } = objectOf(message);
    const { data } = objectOf(params);
    if (method !== "notifications/message") return message;
    if (typeof data !== "string" || !SIMULATED_LOG.test(data)) return message;
    return mapStrings(
      message,
      (text, member) => member === "level" || member === "data" ? `<${member}>` : text,
    );
  },
};

/** The environment that server-everything shows. */
export const ENVIRONMENT: Normalisation = {
  name: "environment",
  reason: "behind Talos a server also has TALOS_PEER_ID; what it has is asserted on its own",
  apply: (message) => mapStrings(message, (text) => isEnvironment(text) ? "<environment>" : text),
};

/** Tells whether `text` is what `get-env` answers. */
export function isEnvironment(text: string): boolean {
  return /^\{\n {2}"[A-Za-z_]\w*": "/.test(text) && /^ {2}"PATH": "/m.test(text);
}

/** What a multi-round-trip server gives its client to keep. */
export const REQUEST_STATES: Normalisation = {
  name: "request states",
  reason:
    "requestState is sealed with a key and an expiry of the run; the server refuses it unless " +
    "every letter came back, and the same state keeps the same name",
  apply: (message, names) =>
    mapStrings(message, (text, member) => member === "requestState" ? names.of(text) : text),
};

function objectOf(value: Json | undefined): { readonly [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? value : {};
}
