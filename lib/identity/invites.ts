/**
 * Invites: who holds a ticket's secret may use a service, so many times, until a certain moment. Pure.
 *
 * An invite that is spent, has ended or was withdrawn is kept for a while, so that whoever comes with its
 * ticket is told why it is no good. A peer that has used an invite may come again with it and changes nothing:
 * the answer may have been lost. Changes return a new value.
 */

import type { Bytes } from "../bytes.ts";
import { MAX_INVITE_MS, MAX_INVITE_USES, MAX_INVITES, REMEMBER_INVITE_MS } from "../limits.ts";
import { IdentityError } from "./errors.ts";
import type { Petname, ServiceName } from "./names.ts";
import type { PeerId } from "./peer_id.ts";

/** The size of an invite's id: enough that no two of a home are the same. */
export const INVITE_ID_BYTES = 6;

/** The size of the key that is derived from a ticket's secret. */
export const INVITE_KEY_BYTES = 32;

/** How an invite is named on the command line. */
export const INVITE_NAME = /^invite-[0-9a-f]{12}$/;

/** One invite. */
export interface Invite {
  /** `invite-` and {@link INVITE_ID_BYTES} in hexadecimal: it follows from the secret, and says nothing about it. */
  readonly id: string;
  /** What proofs are checked with: derived from the secret, which is not kept. {@link INVITE_KEY_BYTES}. */
  readonly key: Bytes;
  /** What it allows. */
  readonly service: ServiceName;
  /** What those who use it are to be called here; null for what they call themselves. */
  readonly petname: Petname | null;
  /** How many peers may use it. */
  readonly uses: number;
  /** Who has used it. */
  readonly usedBy: readonly PeerId[];
  /** When it was made, Unix time in milliseconds. */
  readonly createdAt: number;
  /** The first moment at which it does not hold any more, Unix time in milliseconds. */
  readonly expires: number;
  /** When it was withdrawn, Unix time in milliseconds; null if it was not. */
  readonly revokedAt: number | null;
}

/** How it stands with an invite: only a pending one lets somebody in. */
export type InviteState = "pending" | "used" | "expired" | "revoked";

/** Returns how it stands with an invite. */
export function inviteState(invite: Invite, now: number): InviteState {
  if (invite.revokedAt !== null) return "revoked";
  if (invite.usedBy.length >= invite.uses) return "used";
  return invite.expires <= now ? "expired" : "pending";
}

/** Returns `invites` with `added`, and without those that ended long ago. Throws IdentityError "invite_limit". */
export function addInvite(
  invites: readonly Invite[],
  added: Invite,
  now: number,
): readonly Invite[] {
  const { uses, expires, createdAt } = added;
  if (!Number.isInteger(uses) || uses < 1 || uses > MAX_INVITE_USES) {
    throw tooMuch(`it may be used 1 to ${MAX_INVITE_USES} times, not ${uses}`);
  }
  if (expires - createdAt > MAX_INVITE_MS) {
    throw tooMuch(`it may hold for ${MAX_INVITE_MS / 86_400_000} days`);
  }
  const kept = invites.filter((invite) => isRemembered(invite, now));
  if (kept.length >= MAX_INVITES) {
    throw tooMuch(`there are ${kept.length} already`, [
      "withdraw those that nobody needs: talos access revoke INVITE",
      "see which there are: talos access list",
    ]);
  }
  return [...kept, added];
}

/** Returns `invites` with `peer` among those who used the invite `id`. */
export function useInvite(
  invites: readonly Invite[],
  id: string,
  peer: PeerId,
): readonly Invite[] {
  return invites.map((invite) =>
    invite.id === id ? { ...invite, usedBy: [...invite.usedBy, peer] } : invite
  );
}

/** Returns `invites` with the invite `id` withdrawn. Throws IdentityError "no_such_invite". */
export function revokeInvite(
  invites: readonly Invite[],
  id: string,
  now: number,
): readonly Invite[] {
  if (!invites.some((invite) => invite.id === id)) {
    throw new IdentityError("no_such_invite", `Cannot withdraw ${id}: there is no such invite`, {
      hints: ["see which there are: talos access list"],
    });
  }
  return invites.map((invite) =>
    invite.id === id && invite.revokedAt === null ? { ...invite, revokedAt: now } : invite
  );
}

function isRemembered({ expires, revokedAt }: Invite, now: number): boolean {
  return Math.max(expires, revokedAt ?? 0) + REMEMBER_INVITE_MS > now;
}

function tooMuch(state: string, hints: readonly string[] = []): IdentityError {
  return new IdentityError("invite_limit", `Cannot make the invite: ${state}`, { hints });
}
