/** `talos mcp-serve`: shares MCP servers with those who may use them, until it is stopped. */

import { hex } from "../../bytes.ts";
import {
  type Access,
  ALL_SERVICES,
  type Grant,
  isShutOut,
  mayOpen,
} from "../../identity/access.ts";
import { petnameOf } from "../../identity/contacts.ts";
import type { CallTaker } from "../../discovery/relay_calls.ts";
import { Database } from "../../identity/database.ts";
import { ensureHome } from "../../identity/home.ts";
import { formatHostPort, type HostPort } from "../../identity/host_port.ts";
import { serviceLabel, type ServiceName } from "../../identity/names.ts";
import { type PeerId, shortPeerId } from "../../identity/peer_id.ts";
import { claimService } from "../../identity/run_files.ts";
import { type AccessWatch, watchAccess } from "../../identity/watch_access.ts";
import { DEFAULT_MAX_MESSAGE_BYTES } from "../../limits.ts";
import { Launcher } from "../../mcp/launcher.ts";
import { type Reaper, reaping, withoutReaper } from "../../mcp/reaper.ts";
import { reaperHere } from "../../mcp/reaper_trial.ts";
import { McpHost } from "../../mcp/mcp_host.ts";
import type { PolicyGate } from "../../mcp/policy/policy_gate.ts";
import { McpService } from "../../mcp/serve.ts";
import { serveJoin } from "../../session/join.ts";
import { stopSignal } from "../../stop_signal.ts";
import { INSTANCE_BYTES } from "../../wire/frames.ts";
import { type Context, interactivePassphrase, openIdentity } from "../context.ts";
import { ensureIdentity } from "../ensure_identity.ts";
import { CliError } from "../errors.ts";
import { isExecutable } from "../executable.ts";
import { guestEndpoint, type HostPlace } from "../guest_endpoint.ts";
import { listenFrom } from "../listen.ts";
import { useService } from "../next_steps.ts";
import { type PolicyOptions, requirePolicy, servedPolicy } from "../serve_policy.ts";
import type { NextStep } from "../output.ts";
import { knownPeer } from "../peer_argument.ts";
import { hasPendingInvite, Redeemer } from "../redeem_invite.ts";
import { startOwnRegistry, type WithRegistryOptions } from "../own_registry.ts";
import { Registration } from "../registration.ts";
import { type SharedServer, type SharedServerOptions, sharedServers } from "../shared_servers.ts";

/** The options of `talos mcp-serve`. */
export interface McpServeOptions extends SharedServerOptions, WithRegistryOptions, PolicyOptions {
  /** Who may use what is shared, besides those in `access.json`. */
  readonly authorizedPeer: readonly string[];
  /** The port; 0 for any free one. */
  readonly port?: number;
  /** The address to listen on. */
  readonly host?: string;
  /** Both together; false to listen nowhere. */
  readonly listen?: HostPort | false;
  /** The longest message, in bytes. */
  readonly maxMessage?: number;
  /** Refuse callers whose clock is off, without a retry. */
  readonly strictClock?: boolean;
  /** How long a session may be without a connection before it ends, in milliseconds. */
  readonly detachTimeout?: number;
  /** How many children are kept ready for each authorised peer. */
  readonly prewarm?: number;
  /** False for children that may outlive this process if it is killed outright. */
  readonly reaper?: boolean;
}

/** Shares until SIGINT or SIGTERM. Throws TalosError when it cannot begin. */
export async function mcpServeCommand(
  context: Context,
  options: McpServeOptions,
  words: readonly string[],
): Promise<void> {
  const { paths, log, output, clock, random } = context;
  const looking = options.reaper === false ? null : lookForReaper(context); // while the wallet is read
  const servers = await sharedServers(context, options, words);
  const services = servers.map(({ service }) => service);
  requirePolicy(context, options);
  await ensureIdentity(context);
  const { wallet, identity } = await openIdentity(context, interactivePassphrase(context));
  await ensureHome(paths, log);
  using database = new Database(paths, identity.peerId);
  const peers = options.authorizedPeer.map((text) => knownPeer(database, text));
  const flagGrants = flagGrantsOf(peers, services, clock.now());

  const instance = random(INSTANCE_BYTES);
  using claim = claimService(paths, services, { pid: Deno.pid, instance: hex(instance) });
  using listener = options.listen === false ? null : listenFrom(...placeOf(options));
  let accessChanged = (_: Access): void => {}; // the host begins with what holds then
  await using access = watchAccess(paths, {
    log,
    onChange: (changed) => accessChanged(changed),
  });
  await using policy = servedPolicy(context, options, identity.peerId);
  const [asked] = placeOf(options);
  await using own = await startOwnRegistry(context, database, options, asked);
  await using registration = new Registration(context, own === null ? options : own.flags);
  const launcher = launcherOf(context, looking === null ? undefined : await looking);
  let listening: HostPlace = { port: 0 };
  const { name } = wallet;
  const redeemer = new Redeemer({
    paths,
    database,
    clock,
    log,
    name,
    endpoint: (service) => {
      if (!services.includes(service)) return undefined;
      return guestEndpoint({ identity, name, instance, service, ...listening }, context);
    },
  });
  await using host: McpHost = new McpHost({
    identity,
    instance,
    random,
    clock,
    log,
    strictClock: options.strictClock === true,
    services: servers.map((server) =>
      mcpServiceOf(context, options, launcher, policy?.gate, server)
    ),
    flagGrants,
    access: access.current,
    refreshAccess: () => access.refresh(),
    cureFor: (peer, service) => grantCommand(access.current, peer, service),
    nameOf: (peer) => petnameOf(database, peer),
    ...(options.detachTimeout === undefined ? {} : { detachTimeoutMs: options.detachTimeout }),
    join: (session) => serveJoin(session, clock, (from, request) => redeemer.redeem(from, request)),
    control: registration.methods,
  });
  accessChanged = (changed) => host.accessChanged(changed);
  if (own !== null) {
    log.info("a registry runs in this process, for those who have a ticket", {
      port: own.port,
      key: own.peerId,
    });
  }
  const stopped = stopSignal(context.os); // heard from before anybody is told that we run
  if (listener === null) host.begin();
  const serving = listener === null ? new Promise<never>(() => {}) : host.serve(listener);
  const [listenHost] = placeOf(options);
  const place = {
    port: listener?.address.port ?? 0,
    ...(listenHost === undefined ? {} : { host: listenHost }),
  };
  if (listener !== null) claim.publish(place);
  listening = place;
  const { peerId } = wallet;
  const calls: CallTaker = {
    expects: (peer) => host.expects(peer) || hasPendingInvite(paths, clock.now()),
    take: (transport) => host.accept(transport),
  };
  await registration.begin({ identity, name, database, instance, services, calls, ...place });
  if (listener === null && registration.place === undefined) throw noWay();
  warnOfRevoked(context, access, flagGrants);
  const registry = registration.place;
  const authorised = authorisedText(context, access.current, flagGrants, services, clock.now());
  announce(context, {
    name,
    peerId,
    services,
    place,
    registry,
    authorised,
    ...(policy === null ? {} : { policy: policy.text }),
  });
  output.event({
    event: "ready",
    pid: Deno.pid,
    peer_id: peerId,
    ...place,
    services: services.map(serviceLabel),
    ...(own === null ? {} : { registry: { peer_id: own.peerId, port: own.port } }),
    next: output.commands(useSteps({ peerId, services, place, registry })),
  });
  const reason = await Promise.race([
    stopped,
    serving,
    access.lost,
    ...(policy === null ? [] : [policy.lost]),
  ]);
  const isBlind = reason instanceof Error;
  if (isBlind) log.error("stopping, since revocations or the policy would go unnoticed");
  else log.info("stopping");
  listener?.close();
  await registration[Symbol.asyncDispose](); // before sessions end: their callers would come back here
  if (isBlind) throw reason;
}

/** Returns the host and port to listen on, each if it was said. Throws CliError when it was said twice. */
function placeOf(
  { host, port, listen }: McpServeOptions,
): [host: string | undefined, port: number | undefined] {
  if (listen === undefined) return [host, port];
  if (host !== undefined || port !== undefined) {
    const [given, less] = listen === false ? ["--no-listen", "open no port"] : ["--listen", ""];
    throw new CliError("usage", `Cannot use ${given} with --host or --port: they contradict`, {
      hints: [less === "" ? "--listen HOST:PORT says both" : `to ${less}, leave them out`],
    });
  }
  return listen === false ? [undefined, undefined] : [listen.host, listen.port];
}

function noWay(): CliError {
  return new CliError(
    "usage",
    "Cannot share with --no-listen and without a registry: nobody could call",
    {
      hints: ["name a registry that relays: --server HOST[:PORT], or talos register --server HOST"],
    },
  );
}

function lookForReaper({ os, env, clock }: Context): Promise<Reaper | null> {
  return reaperHere({ os, path: env("PATH"), exists: isExecutable, clock });
}

/**
 * Returns what makes children, so that they die with us where that can be had, and says so where it cannot.
 * Undefined stands for one that is not wanted.
 */
function launcherOf({ os, log }: Context, reaper: Reaper | null | undefined): Launcher {
  if (reaper === undefined) return new Launcher(os);
  if (reaper !== null) {
    log.debug("children die with this process", { by: reaper.name });
    return new Launcher(os, [reaping(reaper, isExecutable)]);
  }
  const { event, cure } = withoutReaper(os);
  if (cure === undefined) log.info(event);
  else log.warn(event, { cure });
  return new Launcher(os);
}

function mcpServiceOf(
  { clock, log }: Context,
  { maxMessage = DEFAULT_MAX_MESSAGE_BYTES, prewarm = 0 }: McpServeOptions,
  launcher: Launcher,
  gate: PolicyGate | undefined,
  { service, plan }: SharedServer,
): McpService {
  return new McpService({
    service,
    plan,
    limits: {},
    launcher,
    prewarm,
    interceptors: gate === undefined
      ? () => []
      : (caller, lines) => [gate.interceptor(caller, lines)],
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
    log.warn("--authorized-peer has no effect: access.json revokes this peer", {
      peer,
      service: label,
      cure: grantCommand(access.current, peer, service),
    });
  }
}

/** Returns the command that lets a peer in; who is shut out has to be let in whole first. */
function grantCommand(access: Access, peer: PeerId, service: ServiceName): string {
  const target = isShutOut(access, peer) ? peer : `${peer}/${serviceLabel(service)}`;
  return `talos access grant ${target}`;
}

interface Announcement {
  readonly name: string;
  readonly peerId: PeerId;
  readonly services: readonly ServiceName[];
  readonly place: { readonly port: number; readonly host?: string };
  readonly registry: string | undefined;
  readonly authorised: string;
  readonly policy?: string;
}

function announce(
  { output }: Context,
  { name, peerId, services, place, registry, authorised, policy }: Announcement,
): void {
  if (output.json) return;
  const { host, port } = place;
  const labels = services.map(serviceLabel);
  const where = port === 0
    ? "no port of its own"
    : host === undefined
    ? `port ${port}`
    : formatHostPort({ host, port });
  output.say(`sharing ${labels.map((label) => `"${label}"`).join(", ")} as ${name} on ${where}`);
  output.say(`this peer: ${peerId}`);
  output.say(authorised);
  if (policy !== undefined) output.say(policy);
  output.say("sandbox: none (a server can do whatever this user can)");
  output.next(useSteps({ peerId, services, place, registry }));
}

function useSteps(
  { peerId, services, place, registry }: Pick<
    Announcement,
    "peerId" | "services" | "place" | "registry"
  >,
): NextStep[] {
  return services.map((service) =>
    useService({ peerId, service: serviceLabel(service), registry, ...place })
  );
}

/** Says who may use what is shared, by flags and by the file: who is revoked, or has expired, may not. */
function authorisedText(
  { output }: Context,
  access: Access,
  flagGrants: readonly Grant[],
  services: readonly ServiceName[],
  now: number,
): string {
  const peersWith = (flags: readonly Grant[], grants: readonly Grant[]) =>
    [...new Set(grants.map(({ peer }) => peer))].filter((peer) =>
      services.some((service) => mayOpen(access, flags, peer, service, now).allowed)
    );
  const byFlag = peersWith(flagGrants, flagGrants);
  const byFile = peersWith([], access.grants);
  const allowed = [
    ...byFlag.map(shortPeerId),
    ...(byFile.length > 0 ? [`those in access.json (${byFile.length})`] : []),
  ];
  if (allowed.length > 0) return `authorised: ${allowed.join(", ")}`;
  return output.rendered(
    "nobody is authorised yet; let somebody in, at once, with a ticket: talos invite",
  );
}
