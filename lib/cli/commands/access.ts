/** `talos access`: who may use what. A change takes effect in running services at once. */

import { ALL_SERVICES, grant, revoke, type ServicePattern } from "../../identity/access.ts";
import { readAccess, updateAccess } from "../../identity/access_file.ts";
import { petnameOf, resolvePeer } from "../../identity/contacts.ts";
import { Database } from "../../identity/database.ts";
import { serviceLabel } from "../../identity/names.ts";
import { parsePeerAddress } from "../../identity/peer_address.ts";
import type { PeerId } from "../../identity/peer_id.ts";
import { readWallet } from "../../identity/wallet_file.ts";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { parseDuration } from "../duration.ts";
import type { NextStep } from "../output.ts";

const SEE_ACCESS: NextStep = { purpose: "see who may use what", command: "talos access list" };

interface Target {
  readonly peer: PeerId;
  readonly service: ServicePattern;
}

/** `talos access list`. Throws IdentityError. */
export async function listAccessCommand(context: Context): Promise<void> {
  using database = await open(context);
  const { grants, revocations } = await readAccess(context.paths);
  const who = (peer: PeerId) => {
    const petname = petnameOf(database, peer);
    return petname === undefined ? peer : `${peer} (${petname})`;
  };
  const now = context.clock.now();
  const lines = [
    ...grants.map(({ peer, service, origin, expires }) =>
      `allowed  ${who(peer)}  ${label(service)}  by ${origin}${expiryText(expires, now)}`
    ),
    ...revocations.map(({ peer, service }) => `revoked  ${who(peer)}  ${label(service)}`),
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
    },
    [
      { purpose: "let a peer in", command: "talos access grant PEER[/SERVICE]" },
      { purpose: "keep a peer out", command: "talos access revoke PEER[/SERVICE]" },
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
    { peer_id: peer, service: label(service), expires },
    [SEE_ACCESS],
  );
}

/** `talos access revoke PEER[/SERVICE]`. Throws IdentityError. */
export async function revokeAccessCommand(context: Context, target: string): Promise<void> {
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

async function open({ paths }: Context): Promise<Database> {
  return new Database(paths, (await readWallet(paths)).peerId);
}

async function targetOf(context: Context, text: string): Promise<Target> {
  const { peer, service, address } = parsePeerAddress(text);
  if (address !== undefined) {
    throw new CliError(
      "usage",
      "Cannot use an address here: permissions are for peers, wherever they are",
    );
  }
  using database = await open(context);
  return { peer: resolvePeer(database, peer), service: service ?? ALL_SERVICES };
}

function label(service: ServicePattern): string {
  return service === ALL_SERVICES ? "all services" : serviceLabel(service);
}

function expiryText(expires: number | null, now: number): string {
  if (expires === null) return "";
  return expires <= now ? ", expired" : `, until ${new Date(expires).toISOString()}`;
}
