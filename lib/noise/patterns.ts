/**
 * Handshake patterns (Noise revision 34 §7): in the notation of the specification, parsed once.
 *
 * A table entry is the specification's own text. {@link handshakePattern} reads a pattern's name, looks
 * its base up, and applies the modifiers: `psk0`, `psk1`, … (§9.4) and `hfs` (the hybrid forward
 * secrecy extension). Only patterns that Talos or its tests stand for are here; other tables can be
 * passed in.
 */

import { NoiseError } from "./errors.ts";

const TOKENS = ["e", "s", "ee", "es", "se", "ss", "psk", "e1", "ekem1"] as const;

/** One step of a message (§5.3), `e1` and `ekem1` being those of the hfs extension. */
export type Token = typeof TOKENS[number];

/** The two sides of a handshake. */
export type Role = "initiator" | "responder";

/** A line of a pattern: what one side sends. */
export interface PatternLine {
  /** Who sends it. */
  readonly from: Role;
  /** What it does, in order. */
  readonly tokens: readonly Token[];
}

/** A handshake pattern. */
export interface HandshakePattern {
  /** The name with its modifiers, as in a protocol name: `IKhfs`. */
  readonly name: string;
  /** Public keys that are known before the handshake (§7.2). */
  readonly preMessages: readonly PatternLine[];
  /** The messages, in order. */
  readonly messages: readonly PatternLine[];
}

/** Base patterns by name, each in the specification's notation: one line per message. */
export type PatternTable = Readonly<Record<string, readonly string[]>>;

/** The base patterns that are shipped (§7.5). */
export const PATTERNS: PatternTable = {
  NX: [
    "-> e",
    "<- e, ee, s, es",
  ],
  KK: [
    "-> s",
    "<- s",
    "...",
    "-> e, es, ss",
    "<- e, ee, se",
  ],
  XK: [
    "<- s",
    "...",
    "-> e, es",
    "<- e, ee",
    "-> s, se",
  ],
  XX: [
    "-> e",
    "<- e, ee, s, es",
    "-> s, se",
  ],
  IK: [
    "<- s",
    "...",
    "-> e, es, s, ss",
    "<- e, ee, se",
  ],
};

/** What one side must bring to a handshake. */
export interface KeyNeeds {
  /** Its own static key pair. */
  readonly s: boolean;
  /** Its own ephemeral key pair. */
  readonly e: boolean;
  /** The remote's static public key. */
  readonly rs: boolean;
  /** The number of pre-shared keys. */
  readonly psks: number;
  /** The seed of its own KEM key pair. */
  readonly kemSeed: boolean;
  /** The randomness of its encapsulation. */
  readonly kemRandom: boolean;
}

/**
 * Returns the pattern of a name such as `IK`, `XXpsk3`, `NXpsk0+psk2` or `IKhfs` (§8).
 *
 * Throws NoiseError "bad_pattern" for a base that is not in `table`, an unknown modifier, or one that
 * does not fit the base.
 */
export function handshakePattern(
  name: string,
  table: PatternTable = PATTERNS,
): HandshakePattern {
  const [, base, modifiers] = /^([A-Z0-9]+)([a-z0-9+]*)$/.exec(name) ?? [];
  const text = base === undefined ? undefined : table[base];
  if (text === undefined || modifiers === undefined) throw badPattern(name, "no such pattern");
  const lines = text.map((line) => line === "..." ? line : parseLine(name, line));
  const dots = lines.indexOf("...");
  const onlyLines = (part: typeof lines) => part.filter((line) => line !== "...");
  const messages = onlyLines(lines.slice(dots + 1));
  for (const modifier of modifiers === "" ? [] : modifiers.split("+")) {
    const slot = /^psk([0-9])$/.exec(modifier)?.[1];
    if (slot !== undefined) addPsk(name, messages, Number(slot));
    else if (modifier === "hfs") addHfs(name, messages);
    else throw badPattern(name, "no such modifier");
  }
  return { name, preMessages: onlyLines(lines.slice(0, Math.max(dots, 0))), messages };
}

/** Returns what `role` must bring to a handshake of `pattern`. */
export function keyNeeds(pattern: HandshakePattern, role: Role): KeyNeeds {
  const own = (lines: readonly PatternLine[]) =>
    lines.filter((line) => line.from === role).flatMap((line) => line.tokens);
  const sent = own(pattern.messages);
  return {
    s: sent.includes("s") || own(pattern.preMessages).includes("s"),
    e: sent.includes("e"),
    rs: pattern.preMessages.some((line) => line.from !== role && line.tokens.includes("s")),
    psks: pattern.messages.flatMap((line) => line.tokens).filter((token) => token === "psk").length,
    kemSeed: sent.includes("e1"),
    kemRandom: sent.includes("ekem1"),
  };
}

interface MutableLine {
  readonly from: Role;
  readonly tokens: Token[];
}

function parseLine(name: string, line: string): MutableLine {
  const [, arrow, list = ""] = /^(->|<-) (.*)$/.exec(line) ?? [];
  if (arrow === undefined) throw badPattern(name, `not a line: ${line}`);
  const tokens = list.split(", ").map((text) => {
    const token = TOKENS.find((known) => known === text);
    if (token === undefined) throw badPattern(name, `no such token: ${text}`);
    return token;
  });
  return { from: arrow === "->" ? "initiator" : "responder", tokens };
}

/** §9.4: psk0 stands at the start of the first message, pskN at the end of the Nth. */
function addPsk(name: string, messages: readonly MutableLine[], slot: number): void {
  const line = messages[Math.max(slot - 1, 0)];
  if (line === undefined) throw badPattern(name, `psk${slot} is behind the last message`);
  if (slot === 0) line.tokens.unshift("psk");
  else line.tokens.push("psk");
}

/**
 * The hfs extension: `e1` follows the first `e`, or, if that message has a Diffie-Hellman token, the
 * first of these, so that the KEM key travels encrypted; `ekem1` follows the first `ee`.
 */
function addHfs(name: string, messages: readonly MutableLine[]): void {
  const first = messages.find((line) => line.tokens.includes("e"))?.tokens;
  const answer = messages.find((line) => line.tokens.includes("ee"))?.tokens;
  if (first === undefined || answer === undefined || first === answer) {
    throw badPattern(name, "hfs needs an ephemeral key of each side");
  }
  const dh = first.findIndex((token) => ["ee", "es", "se", "ss"].includes(token));
  first.splice((dh === -1 ? first.indexOf("e") : dh) + 1, 0, "e1");
  answer.splice(answer.indexOf("ee") + 1, 0, "ekem1");
}

function badPattern(name: string, reason: string): NoiseError {
  return new NoiseError("bad_pattern", `Cannot use the Noise pattern ${name}: ${reason}`);
}
