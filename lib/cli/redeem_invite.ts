/**
 * Letting in who holds a ticket: checks the proof, counts the use, grants the service, notes the contact.
 *
 * Whatever is wrong, nothing is granted. The use is counted before the grant is written, so a process that is
 * killed in between lets nobody in twice. `invites.json` is read anew at each attempt, under its lock: invites
 * made or withdrawn since the process began count, and so do uses in other processes of the home. Wrong
 * tickets are bounded per source and in all, and each that is looked at is in the log.
 */

import type { Clock } from "../clock.ts";
import type { Access } from "../identity/access.ts";
import { messageOf, TalosError } from "../errors.ts";
import { grant, mayOpen } from "../identity/access.ts";
import { readAccess, updateAccess } from "../identity/access_file.ts";
import { introduceContact } from "../identity/contacts.ts";
import type { Database } from "../identity/database.ts";
import type { HomePaths } from "../identity/home.ts";
import { type Invite, INVITE_KEY_BYTES, inviteState, useInvite } from "../identity/invites.ts";
import { type InvitePaths, readInvites, updateInvites } from "../identity/invites_file.ts";
import { serviceLabel, type ServiceName } from "../identity/names.ts";
import type { PeerId } from "../identity/peer_id.ts";
import { JOIN_GUESSES, JOIN_GUESSES_PER_SOURCE } from "../limits.ts";
import type { Log } from "../log.ts";
import {
  isJoinProof,
  type JoinAnswer,
  type JoinRefusal,
  type JoinRequest,
} from "../session/join.ts";
import { SessionError } from "../session/errors.ts";
import { pairingWords } from "../session/pairing_words.ts";
import type { Session } from "../session/session.ts";
import { TokenBuckets } from "../session/token_buckets.ts";
import { describePath } from "../transport/transport.ts";
import type { SignedEndpointRecord } from "../wire/endpoint_record.ts";

/** What letting somebody in takes. */
export interface RedeemerOptions {
  /** The home. */
  readonly paths: InvitePaths & Pick<HomePaths, "access" | "accessLock">;
  /** Where contacts are. */
  readonly database: Database;
  /** Time. */
  readonly clock: Clock;
  /** Who was let in, and who was not. */
  readonly log: Log;
  /** What we call ourselves. */
  readonly name: string;
  /** Returns where a service is, signed; undefined where this process does not have it. */
  readonly endpoint: (service: ServiceName) => SignedEndpointRecord | undefined;
}

/** The one key of the bucket for everybody. */
const EVERYBODY = "";

/** Stands for the key of an invite that there is not: checking takes the same time. */
const NO_KEY = new Uint8Array(INVITE_KEY_BYTES);

/** What is looked at of the session over which a ticket is shown. */
export interface GuestSession extends Pick<Session, "path"> {
  /** Who shows it, and what the proof is bound to. */
  readonly connection: Pick<Session["connection"], "peer" | "handshakeHash">;
}

/** Who shows a ticket. */
interface Guest extends JoinRequest {
  readonly peer: PeerId;
  readonly handshakeHash: Uint8Array;
}

/** Lets in those who hold tickets of one home. */
export class Redeemer {
  readonly #options: RedeemerOptions;
  readonly #guesses = new TokenBuckets(JOIN_GUESSES_PER_SOURCE);
  readonly #allGuesses = new TokenBuckets(JOIN_GUESSES);
  /** Tickets that are being looked at, by their source: each may turn out to be a guess. */
  readonly #open = new Map<string, number>();

  /** Makes one whose buckets are full. */
  constructor(options: RedeemerOptions) {
    this.#options = options;
  }

  /**
   * Returns what to answer to `request`, which came over `session`. Throws SessionError "service_failed" where that cannot
   * be told: the log says why, a stranger does not learn it.
   */
  async redeem(session: GuestSession, request: JoinRequest): Promise<JoinAnswer> {
    const { peer, handshakeHash } = session.connection;
    const { source } = session.path;
    const waitMs = this.#waitMs(source);
    if (waitMs > 0) {
      const seconds = Math.ceil(waitMs / 1000);
      return refusal("invite_limited", `too many wrong tickets came; try again in ${seconds} s`);
    }
    using _open = this.#begin(source);
    const answer = await this.#redeem({ ...request, peer, handshakeHash }).catch((cause) => {
      const cure = cause instanceof TalosError ? { cure: cause.hints.join("; ") } : {};
      this.#options.log.error("a ticket cannot be looked at", { why: messageOf(cause), ...cure });
      throw new SessionError("service_failed", "the ticket cannot be looked at", { cause });
    });
    const path = describePath(session.path);
    if ("joined" in answer) {
      const { called, service } = answer.joined;
      this.#options.log.info("a ticket was used: its holder should see the same three words", {
        peer,
        name: called,
        service: serviceLabel(service),
        words: pairingWords(handshakeHash).join(" "),
        path,
      });
      return answer;
    }
    const { refused: code } = answer;
    if (code === "invite_unknown") this.#countGuess(source);
    this.#options.log.warn("a ticket was refused", { peer, invite: request.invite, code, path });
    return answer;
  }

  #waitMs(source: string): number {
    const now = this.#options.clock.monotonic();
    const here = 1 + (this.#open.get(source) ?? 0);
    const all = [...this.#open.values()].reduce((sum, count) => sum + count, 1);
    return Math.max(
      this.#guesses.wait(source, now, here),
      this.#allGuesses.wait(EVERYBODY, now, all),
    );
  }

  #begin(source: string): Disposable {
    this.#open.set(source, 1 + (this.#open.get(source) ?? 0));
    return {
      [Symbol.dispose]: () => {
        const left = (this.#open.get(source) ?? 1) - 1;
        if (left === 0) this.#open.delete(source);
        else this.#open.set(source, left);
      },
    };
  }

  #countGuess(source: string): void {
    const now = this.#options.clock.monotonic();
    this.#guesses.take(source, now);
    this.#allGuesses.take(EVERYBODY, now);
  }

  async #redeem(guest: Guest): Promise<JoinAnswer> {
    const { paths, clock, database, name, endpoint } = this.#options;
    const outcome = await updateInvites(
      paths,
      (invites) => decide(invites, guest, readAccess(paths), clock.now()),
    );
    if ("refused" in outcome) return outcome;
    const { invite: { service, petname }, isNew } = outcome;
    if (isNew) {
      const { peer } = guest;
      const grantedAt = clock.now();
      await updateAccess(
        paths,
        (access) =>
          isRevoked(access, peer, service, grantedAt)
            ? access
            : grant(access, { peer, service, origin: "invite", grantedAt, expires: null }),
      );
    }
    const called = introduceContact(database, petname ?? guest.name, guest.peer, clock.now());
    const signed = endpoint(service);
    const where = signed === undefined ? {} : { endpoint: signed };
    return { joined: { name, service, called, ...where } };
  }
}

type Outcome =
  | { readonly refused: JoinRefusal; readonly reason: string }
  | { readonly invite: Invite; readonly isNew: boolean };

/** Decides about a guest: the invites afterwards, and what is said. Only a proof learns more than "unknown". */
function decide(
  invites: readonly Invite[],
  { invite: id, proof, peer, handshakeHash }: Guest,
  access: Access,
  now: number,
): readonly [after: readonly Invite[], outcome: Outcome] {
  const invite = invites.find((known) => known.id === id);
  const isProved = isJoinProof(proof, invite?.key ?? NO_KEY, handshakeHash, peer);
  if (invite === undefined || !isProved) {
    return [invites, refusal("invite_unknown", "the host knows no such ticket")];
  }
  const { service } = invite;
  const permission = mayOpen(access, [], peer, service, now);
  if (!permission.allowed && permission.reason === "revoked") {
    return [invites, refusal("unauthorized", "this peer was revoked there")];
  }
  const state = inviteState(invite, now);
  if (state === "revoked") return [invites, refused(invite, state)];
  if (invite.usedBy.includes(peer) && permission.allowed) {
    return [invites, { invite, isNew: false }];
  }
  if (state !== "pending") return [invites, refused(invite, state)];
  return [useInvite(invites, id, peer), { invite, isNew: true }];
}

function refused(
  { uses, expires, revokedAt }: Invite,
  state: "used" | "expired" | "revoked",
): Outcome & { readonly refused: JoinRefusal } {
  const times = uses === 1 ? "once" : `${uses} times`;
  switch (state) {
    case "used":
      return refusal("invite_used", `the ticket was used already, and is good for ${times}`);
    case "expired":
      return refusal("invite_expired", `the ticket held until ${timeText(expires)}`);
    case "revoked":
      return refusal("invite_revoked", `the ticket was withdrawn at ${timeText(revokedAt ?? 0)}`);
    default:
      throw state satisfies never;
  }
}

function refusal(code: JoinRefusal, reason: string) {
  return { refused: code, reason };
}

function isRevoked(access: Access, peer: PeerId, service: ServiceName, now: number): boolean {
  const permission = mayOpen(access, [], peer, service, now);
  return !permission.allowed && permission.reason === "revoked";
}

function timeText(time: number): string {
  return new Date(time).toISOString();
}

/** Tells whether a stranger may have a ticket: a call through a relay is worth taking then. */
export function hasPendingInvite(paths: Pick<InvitePaths, "invites">, now: number): boolean {
  try {
    return readInvites(paths).some((invite) => inviteState(invite, now) === "pending");
  } catch {
    return false; // who tries to join learns of it, and so does the log
  }
}
