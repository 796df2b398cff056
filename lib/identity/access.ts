/**
 * Who may open which service: a pure decision over grants and revocations.
 *
 * Default deny. A revocation beats every grant, those given by flags included; an expired grant is no
 * grant. What a grant or revocation says of `*` it says of every service that can be granted, which
 * never includes the control service. Changes return a new value:
 *
 * - {@link revoke} adds a revocation and drops the grants it covers, so that lifting it later does not
 *   bring an old grant back. A grant for `*` survives the revocation of one service, for the others.
 * - {@link grant} is an explicit act and lifts the revocation of exactly what it grants. While `*` is
 *   revoked, one service alone cannot be granted: that would lift the revocation for the rest.
 */

import { IdentityError } from "./errors.ts";
import type { ServiceName } from "./names.ts";
import { type PeerId, shortPeerId } from "./peer_id.ts";

/** Stands for every service that can be granted. */
export const ALL_SERVICES = "*";

/** One service, or all. */
export type ServicePattern = ServiceName | typeof ALL_SERVICES;

/** That a peer may open a service. */
export interface Grant {
  /** Who. */
  readonly peer: PeerId;
  /** What. */
  readonly service: ServicePattern;
  /** How it came about, for people: `command`, `invite`, `request`, `flag`. */
  readonly origin: string;
  /** When, in Unix milliseconds. */
  readonly grantedAt: number;
  /** The first moment at which it no longer holds, in Unix milliseconds; null for never. */
  readonly expires: number | null;
}

/** That a peer may not open a service, whatever else is said. */
export interface Revocation {
  /** Who. */
  readonly peer: PeerId;
  /** What. */
  readonly service: ServicePattern;
  /** When, in Unix milliseconds. */
  readonly revokedAt: number;
}

/** All grants and revocations; at most one of each for a (peer, service). */
export interface Access {
  /** Who may. */
  readonly grants: readonly Grant[];
  /** Who may not. */
  readonly revocations: readonly Revocation[];
}

/** Nobody may do anything. */
export const NO_ACCESS: Access = { grants: [], revocations: [] };

/** Whether a peer may open a service. */
export type AccessDecision =
  | {
    readonly allowed: true;
    /** The origin of the grant that decided. */
    readonly origin: string;
    /** When the permission ends, in Unix milliseconds: the latest of all grants; null for never. */
    readonly expires: number | null;
  }
  | {
    readonly allowed: false;
    /** Why not. */
    readonly reason: "revoked" | "expired" | "no_grant";
  };

/**
 * Decides whether `peer` may open `service`.
 *
 * @param access What the home's file says.
 * @param flagGrants What the command line of this process adds.
 * @param now Unix time in milliseconds.
 */
export function mayOpen(
  access: Access,
  flagGrants: readonly Grant[],
  peer: PeerId,
  service: ServiceName,
  now: number,
): AccessDecision {
  for (const revocation of access.revocations) {
    if (covers(revocation, peer, service)) return { allowed: false, reason: "revoked" };
  }
  let best: Grant | null = null;
  let expired = false;
  for (const grants of [access.grants, flagGrants]) {
    for (const candidate of grants) {
      if (!covers(candidate, peer, service)) continue;
      if (!holds(candidate, now)) expired = true;
      else if (best === null || outlasts(candidate, best)) best = candidate;
    }
  }
  if (best !== null) return { allowed: true, origin: best.origin, expires: best.expires };
  return { allowed: false, reason: expired ? "expired" : "no_grant" };
}

/**
 * Tells whether `peer` has any grant that holds now and that no revocation takes back whole. Such a
 * peer is no stranger, though it may not open every service.
 */
export function isKnown(
  access: Access,
  flagGrants: readonly Grant[],
  peer: PeerId,
  now: number,
): boolean {
  return [...access.grants, ...flagGrants].some((candidate) =>
    candidate.peer === peer && holds(candidate, now) &&
    !access.revocations.some((revocation) => covers(revocation, peer, candidate.service))
  );
}

/** Tells whether all services are revoked for `peer`. */
export function isShutOut({ revocations }: Access, peer: PeerId): boolean {
  return revocations.some((revocation) => covers(revocation, peer, ALL_SERVICES));
}

/**
 * Returns `access` with `added`, in place of an older grant for the same, and without a revocation of
 * the same. Throws IdentityError "access_revoked" for one service while all are revoked.
 */
export function grant(access: Access, added: Grant): Access {
  const { peer, service } = added;
  if (service !== ALL_SERVICES && isShutOut(access, peer)) {
    throw new IdentityError(
      "access_revoked",
      `Cannot grant ${service} to ${shortPeerId(peer)}: all services are revoked for this peer`,
      { hints: [`lift that for all services first: talos access grant ${peer}`] },
    );
  }
  return {
    grants: [...without(access.grants, peer, service), added],
    revocations: without(access.revocations, peer, service),
  };
}

/** Returns `access` with `added`, in place of an older one, and without the grants that it covers. */
export function revoke(access: Access, added: Revocation): Access {
  const { peer, service } = added;
  return {
    grants: service === ALL_SERVICES
      ? access.grants.filter((grant) => grant.peer !== peer)
      : without(access.grants, peer, service),
    revocations: [...without(access.revocations, peer, service), added],
  };
}

/** A grant or revocation, as far as whom and what it is about. */
interface Rule {
  readonly peer: PeerId;
  readonly service: ServicePattern;
}

/** Tells whether `rule` speaks of all that `service` stands for. */
function covers(rule: Rule, peer: PeerId, service: ServicePattern): boolean {
  return rule.peer === peer && (rule.service === ALL_SERVICES || rule.service === service);
}

function holds({ expires }: Grant, now: number): boolean {
  return expires === null || expires > now;
}

function outlasts(a: Grant, b: Grant): boolean {
  return b.expires !== null && (a.expires === null || a.expires > b.expires);
}

function without<R extends Rule>(
  rules: readonly R[],
  peer: PeerId,
  service: ServicePattern,
): readonly R[] {
  return rules.filter((rule) => rule.peer !== peer || rule.service !== service);
}
