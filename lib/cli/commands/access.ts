/** `talos access`: who may use what. A change takes effect in running services at once. */

import { ALL_SERVICES, grant, revoke, type ServicePattern } from "../../identity/access.ts";
import { readAccess, updateAccess } from "../../identity/access_file.ts";
import { petnameOf, resolvePeer } from "../../identity/contacts.ts";
import { INVITE_NAME, inviteState, revokeInvite } from "../../identity/invites.ts";
import { readInvites, updateInvites } from "../../identity/invites_file.ts";
import { serviceLabel } from "../../identity/names.ts";
import { parsePeerAddress } from "../../identity/peer_address.ts";
import type { PeerId } from "../../identity/peer_id.ts";
import { printable } from "../../log.ts";
import type { Context } from "../context.ts";
import { openOwnDatabase } from "../own_database.ts";
import { CliError } from "../errors.ts";
import { parseDuration } from "../duration.ts";
import type { NextStep } from "../output.ts";

const SEE_ACCESS: NextStep = { purpose: "see who may use what", command: "talos access list" };

/** A Peer ID and a service, both at their longest. */
const MAX_QUOTED_CHARACTERS = 128;

interface Target {
  readonly peer: PeerId;
  readonly service: ServicePattern;
}

/** `talos access list`. Throws IdentityError. */
export async function listAccessCommand(context: Context): Promise<void> {
  using database = await openOwnDatabase(context.paths);
  const { grants, revocations } = await readAccess(context.paths);
  const who = (peer: PeerId) => {
    const petname = petnameOf(database, peer);
    return petname === undefined ? peer : `${peer} (${petname})`;
  };
  const now = context.clock.now();
  const invites = readInvites(context.paths).filter((one) => inviteState(one, now) === "pending");
  const lines = [
    ...grants.map(({ peer, service, origin, expires }) =>
      `allowed  ${who(peer)}  ${label(service)}  by ${origin}${expiryText(expires, now)}`
    ),
    ...revocations.map(({ peer, service }) => `revoked  ${who(peer)}  ${label(service)}`),
    ...invites.map(({ id, service, petname, uses, usedBy, expires }) =>
      `pending  ${id}${petname === null ? "" : ` for ${petname}`}  ${label(service)}  ` +
      `${usedBy.length} of ${uses} used${expiryText(expires, now)}`
    ),
  ];
  context.output.result(
    lines.length === 0 ? "nobody is allowed by access.json" : lines.join("\n"),
    {
      grants: grants.map(({ peer, service, origin, grantedAt, expires }) => ({
        peer_id: peer,
        service: label(service),
        origin,
        granted_at: new Date(grantedAt).toISOString(),
        expires: expires === null ? null : new Date(expires).toISOString(),
      })),
      revocations: revocations.map(({ peer, service, revokedAt }) => ({
        peer_id: peer,
        service: label(service),
        revoked_at: new Date(revokedAt).toISOString(),
      })),
      invites: invites.map(({ id, service, petname, uses, usedBy, createdAt, expires }) => ({
        invite: id,
        service: label(service),
        name: petname,
        uses,
        used_by: usedBy,
        created_at: new Date(createdAt).toISOString(),
        expires: new Date(expires).toISOString(),
      })),
    },
    [
      { purpose: "let a peer in", command: "talos access grant PEER[/SERVICE]" },
      { purpose: "keep a peer out", command: "talos access revoke PEER[/SERVICE]" },
      ...(invites.length === 0
        ? []
        : [{ purpose: "withdraw a ticket", command: "talos access revoke INVITE" }]),
    ],
  );
}

/** `talos access grant PEER[/SERVICE] [--expires 24h]`. Throws IdentityError. */
export async function grantAccessCommand(
  context: Context,
  target: string,
  options: { readonly expires?: string },
): Promise<void> {
  const { peer, service } = await targetOf(context, target);
  const now = context.clock.now();
  const expires = options.expires === undefined ? null : now + parseDuration(options.expires);
  await updateAccess(
    context.paths,
    (access) => grant(access, { peer, service, origin: "command", grantedAt: now, expires }),
  );
  context.output.result(
    `allowed: ${peer} may use ${label(service)}${expiryText(expires, now)}`,
    {
      peer_id: peer,
      service: label(service),
      expires: expires === null ? null : new Date(expires).toISOString(),
    },
    [SEE_ACCESS],
  );
}

/** `talos access revoke PEER[/SERVICE]`, or an invite. Throws IdentityError. */
export async function revokeAccessCommand(context: Context, target: string): Promise<void> {
  if (INVITE_NAME.test(target)) return await withdrawInvite(context, target);
  const { peer, service } = await targetOf(context, target);
  const revokedAt = context.clock.now();
  await updateAccess(context.paths, (access) => revoke(access, { peer, service, revokedAt }));
  context.output.result(
    `revoked: ${peer} may not use ${
      service === ALL_SERVICES ? "any service" : label(service)
    }, whatever any flag says; its sessions end now`,
    { peer_id: peer, service: label(service) },
    [SEE_ACCESS],
  );
}

/** Makes a ticket worth nothing. Who has used it keeps what that gave. */
async function withdrawInvite({ paths, clock, output }: Context, id: string): Promise<void> {
  const now = clock.now();
  const usedBy = await updateInvites(paths, (invites) => {
    const after = revokeInvite(invites, id, now);
    return [after, after.find((invite) => invite.id === id)?.usedBy ?? []];
  });
  const kept = usedBy.length === 0 ? "" : `; who used it before keeps the permission`;
  output.result(
    `withdrawn: ${id}; its ticket lets nobody in any more${kept}`,
    { invite: id, used_by: usedBy },
    [
      ...usedBy.map((peer) => ({
        purpose: "keep out one who used it",
        command: `talos access revoke ${peer}`,
      })),
      SEE_ACCESS,
    ],
  );
}

async function targetOf(context: Context, text: string): Promise<Target> {
  const at = text.indexOf("@");
  if (at >= 0) {
    throw new CliError(
      "usage",
      "Cannot use an address here: permissions are for peers, wherever they are",
      { hints: [`leave it out: ${printable(text.slice(0, at), MAX_QUOTED_CHARACTERS)}`] },
    );
  }
  const { peer, service } = parsePeerAddress(text);
  using database = await openOwnDatabase(context.paths);
  return { peer: resolvePeer(database, peer), service: service ?? ALL_SERVICES };
}

function label(service: ServicePattern): string {
  return service === ALL_SERVICES ? "all services" : serviceLabel(service);
}

function expiryText(expires: number | null, now: number): string {
  if (expires === null) return "";
  return expires <= now ? ", expired" : `, until ${new Date(expires).toISOString()}`;
}
