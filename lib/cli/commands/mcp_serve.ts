/** `talos mcp-serve`: shares MCP servers with those who may use them, until it is stopped. */

import { hex } from "../../bytes.ts";
import { type Access, ALL_SERVICES, type Grant, mayOpen } from "../../identity/access.ts";
import { petnameOf } from "../../identity/contacts.ts";
import { Database } from "../../identity/database.ts";
import { ensureHome } from "../../identity/home.ts";
import { formatHostPort } from "../../identity/host_port.ts";
import { serviceLabel, type ServiceName } from "../../identity/names.ts";
import { type PeerId, shortPeerId } from "../../identity/peer_id.ts";
import { claimService } from "../../identity/run_files.ts";
import { type AccessWatch, watchAccess } from "../../identity/watch_access.ts";
import { DEFAULT_MAX_MESSAGE_BYTES } from "../../limits.ts";
import { Launcher } from "../../mcp/launcher.ts";
import { McpHost } from "../../mcp/mcp_host.ts";
import { McpService } from "../../mcp/serve.ts";
import { SESSION_ID_BYTES } from "../../session/bodies.ts";
import { stopSignal } from "../../stop_signal.ts";
import { type Context, interactivePassphrase, openIdentity } from "../context.ts";
import { listenFrom } from "../listen.ts";
import { useService } from "../next_steps.ts";
import { knownPeer } from "../peer_argument.ts";
import { Registration } from "../registration.ts";
import type { RegistryFlags } from "../registry_choice.ts";
import { type SharedServer, type SharedServerOptions, sharedServers } from "../shared_servers.ts";

/** The options of `talos mcp-serve`. */
export interface McpServeOptions extends SharedServerOptions, RegistryFlags {
  /** Who may use what is shared, besides those in `access.json`. */
  readonly authorizedPeer: readonly string[];
  /** The port; 0 for any free one. */
  readonly port?: number;
  /** The address to listen on. */
  readonly host?: string;
  /** The longest message, in bytes. */
  readonly maxMessage?: number;
  /** Refuse callers whose clock is off, without a retry. */
  readonly strictClock?: boolean;
}

/** Shares until SIGINT or SIGTERM. Throws TalosError when it cannot begin. */
export async function mcpServeCommand(
  context: Context,
  options: McpServeOptions,
  words: readonly string[],
): Promise<void> {
  const { paths, log, output, clock, random } = context;
  const servers = await sharedServers(context, options, words);
  const services = servers.map(({ service }) => service);
  const { wallet, identity } = await openIdentity(context, interactivePassphrase(context));
  await ensureHome(paths, log);
  using database = new Database(paths, identity.peerId);
  const peers = options.authorizedPeer.map((text) => knownPeer(database, text));
  const flagGrants = flagGrantsOf(peers, services, clock.now());

  const instance = random(SESSION_ID_BYTES);
  using claim = claimService(paths, services, { pid: Deno.pid, instance: hex(instance) });
  using listener = listenFrom(options.host, options.port);
  await using access = await watchAccess(paths, {
    log,
    onChange: (changed) => host.accessChanged(changed),
  });
  await using registration = new Registration(context, options);
  await using host: McpHost = new McpHost({
    identity,
    instance,
    random,
    clock,
    log,
    strictClock: options.strictClock === true,
    services: servers.map((server) => mcpServiceOf(context, options, server)),
    flagGrants,
    access: access.current,
    nameOf: (peer) => petnameOf(database, peer),
    control: registration.methods,
  });
  const stopped = stopSignal(context.os); // heard from before anybody is told that we run
  const serving = host.serve(listener);
  const { port } = listener.address;
  const place = { port, ...(options.host === undefined ? {} : { host: options.host }) };
  claim.publish(place);
  const { name, peerId } = wallet;
  await registration.begin({ identity, name, database, instance, services, ...place });
  warnOfRevoked(context, access, flagGrants);
  const registry = registration.place;
  announce(context, { name, peerId, services, place, registry, peers, access: access.current });
  output.event({
    event: "ready",
    pid: Deno.pid,
    peer_id: peerId,
    port,
    services: services.map(serviceLabel),
  });
  await Promise.race([stopped, serving]);
  log.info("stopping");
  listener.close();
  await registration[Symbol.asyncDispose](); // before sessions end: their callers would come back here
}

function mcpServiceOf(
  { os, clock, log }: Context,
  { maxMessage = DEFAULT_MAX_MESSAGE_BYTES }: McpServeOptions,
  { service, plan }: SharedServer,
): McpService {
  return new McpService({
    service,
    plan,
    limits: {},
    launcher: new Launcher(os),
    interceptors: () => [],
    maxMessage,
    clock,
    log,
  });
}

function flagGrantsOf(
  peers: readonly PeerId[],
  services: readonly ServiceName[],
  now: number,
): Grant[] {
  return peers.flatMap((peer) =>
    services.map((service): Grant => ({
      peer,
      service,
      origin: "flag",
      grantedAt: now,
      expires: null,
    }))
  );
}

function warnOfRevoked(
  { log, clock }: Context,
  access: AccessWatch,
  grants: readonly Grant[],
): void {
  for (const { peer, service } of grants) {
    if (service === ALL_SERVICES) continue;
    if (mayOpen(access.current, grants, peer, service, clock.now()).allowed) continue;
    const label = serviceLabel(service);
    const wholly = access.current.revocations.some((revocation) =>
      revocation.peer === peer && revocation.service === ALL_SERVICES
    );
    log.warn("--authorized-peer has no effect: access.json revokes this peer", {
      peer,
      service: label,
      cure: `talos access grant ${peer}${wholly ? "" : `/${label}`}`,
    });
  }
}

interface Announcement {
  readonly name: string;
  readonly peerId: PeerId;
  readonly services: readonly ServiceName[];
  readonly place: { readonly port: number; readonly host?: string };
  readonly registry: string | undefined;
  readonly peers: readonly PeerId[];
  readonly access: Access;
}

function announce(
  { output }: Context,
  { name, peerId, services, place, registry, peers, access }: Announcement,
): void {
  if (output.json) return;
  const { host, port } = place;
  const labels = services.map(serviceLabel);
  const where = host === undefined ? `port ${port}` : formatHostPort({ host, port });
  output.say(`sharing ${labels.map((label) => `"${label}"`).join(", ")} as ${name} on ${where}`);
  output.say(`this peer: ${peerId}`);
  output.say(permittedText(peers, access));
  output.say("sandbox: none (a server can do whatever this user can)");
  output.next(labels.map((service) => useService({ peerId, service, registry, ...place })));
}

/** Says who may use what is shared. */
function permittedText(peers: readonly PeerId[], { grants }: Access): string {
  const allowed = [
    ...peers.map(shortPeerId),
    ...(grants.length > 0 ? [`those in access.json (${grants.length})`] : []),
  ];
  return allowed.length > 0
    ? `authorised: ${allowed.join(", ")}`
    : "nobody is authorised yet: talos access grant PEER-ID lets somebody in, at once";
}
