/** `talos mcp-serve`: shares MCP servers with those who may use them, until it is stopped. */

import { hex } from "../../bytes.ts";
import { interfaceAddresses, Publisher } from "../../discovery/publisher.ts";
import { type Access, type Grant, mayOpen } from "../../identity/access.ts";
import { petnameOf } from "../../identity/contacts.ts";
import { Database } from "../../identity/database.ts";
import { ensureHome } from "../../identity/home.ts";
import { formatHostPort } from "../../identity/host_port.ts";
import type { LocalIdentity } from "../../identity/local_identity.ts";
import { serviceLabel, type ServiceName } from "../../identity/names.ts";
import { type PeerId, shortPeerId } from "../../identity/peer_id.ts";
import { claimService } from "../../identity/run_files.ts";
import type { Wallet } from "../../identity/wallet.ts";
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
import {
  chooseRegistry,
  isUnlisted,
  type RegistryFlags,
  registryOptions,
} from "../registry_choice.ts";
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
  });
  const serving = host.serve(listener);
  const { port } = listener.address;
  const { host: address } = options;
  claim.publish({ port, ...(address === undefined ? {} : { host: address }) });
  warnOfRevoked(context, access, flagGrants);
  announce(context, { wallet, services, port, host: address, peers, access: access.current });
  await using _publisher = await publish(context, options, {
    wallet,
    identity,
    database,
    services,
    instance,
    port,
  });
  output.event({
    event: "ready",
    pid: Deno.pid,
    peer_id: wallet.peerId,
    port,
    services: services.map(serviceLabel),
  });
  await Promise.race([stopSignal(context.os), serving]);
  log.info("stopping");
  listener.close();
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
    if (service === "*") continue;
    if (mayOpen(access.current, grants, peer, service, clock.now()).allowed) continue;
    log.warn("--authorized-peer has no effect: access.json revokes this peer", {
      peer,
      service: serviceLabel(service),
      cure: `talos access grant ${peer}/${serviceLabel(service)}`,
    });
  }
}

interface Announcement {
  readonly wallet: Wallet;
  readonly services: readonly ServiceName[];
  readonly port: number;
  readonly host: string | undefined;
  readonly peers: readonly PeerId[];
  readonly access: Access;
}

function announce(
  { output }: Context,
  { wallet, services, port, host, peers, access }: Announcement,
): void {
  if (output.json) return;
  const { name, peerId } = wallet;
  const labels = services.map(serviceLabel);
  const where = host === undefined ? `port ${port}` : formatHostPort({ host, port });
  output.say(`sharing ${labels.map((label) => `"${label}"`).join(", ")} as ${name} on ${where}`);
  output.say(`this peer: ${peerId}`);
  output.say(permittedText(peers, access));
  output.say("sandbox: none (a server can do whatever this user can)");
  output.next(
    labels.map((service) =>
      useService({ peerId, service, port, ...(host === undefined ? {} : { host }) })
    ),
  );
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

interface Published {
  readonly wallet: Wallet;
  readonly identity: LocalIdentity;
  readonly database: Database;
  readonly services: readonly ServiceName[];
  readonly instance: Awaited<ReturnType<typeof registryOptions>>["instance"];
  readonly port: number;
}

/** Keeps the services known to the registry that somebody chose; without one, peers need our address. */
async function publish(
  context: Context,
  options: McpServeOptions,
  { wallet, identity, database, services, instance, port }: Published,
): Promise<AsyncDisposable> {
  const { address, chosenBy } = chooseRegistry(context, database, options);
  if (chosenBy === "default") return { [Symbol.asyncDispose]: () => Promise.resolve() };
  return new Publisher({
    ...await registryOptions(context, identity, database, address, options),
    instance,
    name: wallet.name,
    unlisted: isUnlisted(database),
    services,
    port,
    interfaces: () => interfaceAddresses(context.log),
    ...(options.host === undefined ? {} : { listenHost: options.host }),
  });
}
