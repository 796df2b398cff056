/**
 * What a policy is: rules, each for some peers and some services.
 *
 * Nothing is permitted that no rule permits. Permissions of all rules that fit a caller add up; so do
 * restrictions: denials, questions, argument rules, `read_only` and limits of every rule that fits hold,
 * whichever rule permits. So the order of rules means nothing, another permission takes none away, and
 * another restriction gives none. A rule that has expired permits nothing any more; what it restricts stays
 * restricted, so that time alone never opens anything.
 */

import type { PeerId } from "../../identity/peer_id.ts";
import type { Glob } from "./glob.ts";
import type { ArgumentRule } from "./argument_rules.ts";

/** What can be permitted by its name: tools and prompts by theirs, resources by URI, foreign methods by themselves. */
export const SUBJECTS = ["tools", "resources", "prompts", "methods"] as const;

/** One of {@link SUBJECTS}. */
export type Subject = typeof SUBJECTS[number];

/** What a rule says of one kind of thing. */
export interface Selection {
  /** May be used. */
  readonly allow: readonly Glob[];
  /** May not be used, whatever allows it. */
  readonly deny: readonly Glob[];
  /** May be used when a person says so. */
  readonly ask: readonly Glob[];
}

/** Whom a rule is for. */
export type PeerPattern =
  | { readonly kind: "anybody" }
  | { readonly kind: "id"; readonly id: PeerId }
  /** A contact, in the form in which names are compared. */
  | { readonly kind: "contact"; readonly name: string };

/** What may be used how much, by one peer of one service. */
export interface Limits {
  /** In any 60 seconds. */
  readonly requestsPerMinute?: number;
  /** At once. */
  readonly concurrentCalls?: number;
  /** Of messages in both directions, in a day of UTC. */
  readonly bytesPerDay?: number;
  /** Until a call is given up. */
  readonly secondsPerCall?: number;
}

/** One of {@link Limits}. */
export type LimitName = keyof Limits;

/** A rule. */
export interface PolicyRule {
  /** Its own name, or where it stands: `rules[2]`. */
  readonly label: string;
  /** Whom it is for. */
  readonly peer: PeerPattern;
  /** For which service, in its wire form; `*` for every one. */
  readonly service: string;
  /** What it says, by kind. */
  readonly selections: Readonly<Record<Subject, Selection>>;
  /** What arguments have to be like. */
  readonly arguments: readonly ArgumentRule[];
  /** Whether only tools may be used that the server lists as read-only. */
  readonly readOnly: boolean;
  /** How much. */
  readonly limits: Limits;
  /** The first moment at which it permits nothing any more, in Unix milliseconds; null for never. */
  readonly expires: number | null;
}

/** A policy. */
export interface Policy {
  /** In no order that means anything. */
  readonly rules: readonly PolicyRule[];
}

/** Nothing is said. */
export const NO_SELECTION: Selection = { allow: [], deny: [], ask: [] };

/** Whoever calls, as far as a policy knows him. */
export interface PolicyCaller {
  /** The Peer ID. */
  readonly peer: string;
  /** The service, in its wire form. */
  readonly service: string;
  /** The name of the contact, if it is one. */
  readonly name?: string;
}

/** Returns a contact's name in the form in which names are compared: case makes no other contact. */
export function contactKey(name: string): string {
  return name.normalize("NFKC").toLowerCase();
}

/** Tells whether a rule is for a caller. */
export function fits({ peer, service }: PolicyRule, caller: PolicyCaller): boolean {
  if (service !== "*" && service !== caller.service) return false;
  switch (peer.kind) {
    case "anybody":
      return true;
    case "id":
      return peer.id === caller.peer;
    case "contact":
      return caller.name !== undefined && contactKey(caller.name) === peer.name;
    default:
      return peer satisfies never;
  }
}
