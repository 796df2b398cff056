/** What there is to say about the registry, and about clocks. Pure. */

import { ago } from "../../discovery/find_peer.ts";
import type { Clock } from "../../clock.ts";
import { MAX_CLOCK_SKEW_MS } from "../../limits.ts";
import type { FoundPeer } from "../../wire/registry_messages.ts";
import type { RegistryChoice } from "../registry_choice.ts";
import { type CheckName, type Finding, ok, warn } from "./finding.ts";

const CHOSEN_BY: Readonly<Record<RegistryChoice["chosenBy"], string>> = {
  flag: "chosen by --server",
  environment: "chosen by TALOS_SERVER",
  register: "chosen by talos register",
  default: "chosen by nobody: it is the usual place",
};

/** A registry that was reached. */
export interface RegistryFacts {
  /** `HOST:PORT`. */
  readonly place: string;
  /** Who chose it. */
  readonly chosenBy: RegistryChoice["chosenBy"];
  /** Its key. */
  readonly key: string;
  /** Where that key was known from before. */
  readonly keyFrom: "address" | "pinned" | "first contact";
  /** How long connecting and the handshake took, in milliseconds. */
  readonly ms: number;
  /** Its clock minus ours, in milliseconds. */
  readonly skewMs: number;
  /** This machine's address as it sees it. */
  readonly observed: string;
}

const KEY_FROM: Readonly<Record<RegistryFacts["keyFrom"], string>> = {
  address: "the one that its address names",
  pinned: "as pinned",
  "first contact": "pinned now; compare it with what talos-server printed",
};

/** Returns what to say of a registry that was reached. */
export function registryFindings(
  { place, chosenBy, key, keyFrom, ms, skewMs, observed }: RegistryFacts,
): readonly Finding[] {
  return [
    ok(
      "registry",
      `${place}, ${CHOSEN_BY[chosenBy]}, answers in ${
        msText(ms)
      }, sees this machine as ${observed}`,
    ),
    ok("registry_key", `${key}, ${KEY_FROM[keyFrom]}`),
    clockFinding("registry_clock", "the registry's", skewMs),
  ];
}

/** Returns what to say of another clock; `skewMs` is it minus ours. */
export function clockFinding(check: CheckName, whose: string, skewMs: number): Finding {
  const seconds = (Math.abs(skewMs) / 1000).toFixed(1);
  const way = skewMs < 0 ? "behind" : "ahead of";
  const limit = MAX_CLOCK_SKEW_MS / 1000;
  if (Math.abs(skewMs) <= MAX_CLOCK_SKEW_MS) {
    return ok(check, `differs by ${seconds} s, the limit is ${limit} s`);
  }
  return warn(
    check,
    `clocks differ by ${seconds} s, the limit is ${limit} s: ${whose} is ${way} this machine's`,
    "compare both with the true time, and set the wrong one: date -u",
  );
}

/**
 * Returns what to say of what the registry knows of us; null for nothing.
 *
 * @param place How `--server` takes the registry.
 * @param shares Whether a process here shares something.
 */
export function registrationFinding(
  found: Pick<FoundPeer, "name" | "online"> | null,
  place: string,
  shares: boolean,
): Finding {
  if (found === null) {
    return warn(
      "registration",
      "this peer is not registered there: it finds others, and nobody finds it",
      `make it known: talos register --server ${place}`,
    );
  }
  const name = `registered as "${found.name}"`;
  if (found.online) return ok("registration", `${name}, online`);
  if (!shares) return ok("registration", `${name}, away: nothing is shared here`);
  return warn(
    "registration",
    `${name}, away, although a service runs here`,
    "have what runs here publish itself anew: talos register",
  );
}

/** Returns how long ago a peer was seen. */
export function lastSeenText(lastSeen: number, clock: Pick<Clock, "now">): string {
  return `last seen ${ago(lastSeen, clock)}`;
}

/** Returns a duration for people: more digits for what is short. */
export function msText(ms: number): string {
  return ms < 10
    ? `${ms.toFixed(1)} ms`
    : ms < 10_000
    ? `${Math.round(ms)} ms`
    : `${(ms / 1000).toFixed(1)} s`;
}
