/**
 * A host of MCP servers: which peer may open which of them, and what happens when that changes.
 *
 * Default deny, decided anew at every OPEN and again whenever `access.json` changes or a grant expires;
 * a session that lost its permission ends at once, detached or not. A peer learns the names of services that it may use
 * and of no others. The control service is open to this very identity alone.
 */

import { type Bytes, hex } from "../bytes.ts";
import type { Clock } from "../clock.ts";
import type { RandomBytes } from "../crypto/random.ts";
import { type Access, type Grant, isKnown, mayOpen } from "../identity/access.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import {
  CONTROL_SERVICE,
  DEFAULT_SERVER,
  isReserved,
  JOIN_SERVICE,
  mcpService,
  parseServiceName,
  serviceLabel,
  type ServiceName,
} from "../identity/names.ts";
import type { PeerId } from "../identity/peer_id.ts";
import { DETACH_TIMEOUT_MS, EARLY_DATA_BYTES, MAX_CHILDREN_PER_PEER_SERVICE } from "../limits.ts";
import type { Log } from "../log.ts";
import type { OpenBody } from "../session/bodies.ts";
import {
  type ControlMethods,
  MAX_CONTROL_MESSAGE_BYTES,
  serveControl,
} from "../session/control.ts";
import { SessionError } from "../session/errors.ts";
import { Host, type HostedSession, type OpenDecision } from "../session/host.ts";
import type { Session } from "../session/session.ts";
import type { MsgPackInput } from "../wire/msgpack.ts";
import { describePath, type Transport } from "../transport/transport.ts";
import type { Caller } from "./launcher.ts";
import { MAX_PREWARMED_CHILDREN, prewarmPlan } from "./prewarm_plan.ts";
import type { McpService } from "./serve.ts";

/** What a caller asks for who leaves the choice to the host: `default` if it may use that, else the only one. */
export const ONLY_SERVICE = "mcp";

/** What a host of MCP servers needs. */
export interface McpHostOptions {
  /** Who we are. */
  readonly identity: LocalIdentity;
  /** Names this process: 16 random bytes. */
  readonly instance: Bytes;
  /** Randomness for handshakes. */
  readonly random: RandomBytes;
  /** Time. */
  readonly clock: Clock;
  /** The host's log. */
  readonly log: Log;
  /** Accept no clock difference beyond the limit. */
  readonly strictClock: boolean;
  /** What is shared. */
  readonly services: readonly McpService[];
  /** Permissions of this process, beside those of `access.json`. */
  readonly flagGrants: readonly Grant[];
  /** What `access.json` says at first. */
  readonly access: Access;
  /** Has {@link McpHost.accessChanged} called if `access.json` is another one; asked before each decision. */
  readonly refreshAccess?: () => void;
  /** Returns the command that lets a peer use a service, for the log. */
  readonly cureFor?: (peer: PeerId, service: ServiceName) => string;
  /** What this host calls a peer, if it has a name for it. */
  readonly nameOf: (peer: PeerId) => string | undefined;
  /** How long a session may be without a connection before it ends, in milliseconds; 10 minutes by default. */
  readonly detachTimeoutMs?: number;
  /** Answers whoever holds a ticket, or says so; without it nobody can join here. */
  readonly join?: (session: Session) => Promise<void>;
  /** What the process answers on the control service beside `status`. */
  readonly control?: ControlMethods;
}

const DEFAULT_SERVICE: string = mcpService(DEFAULT_SERVER);

/** An expiry is a moment of wall time, which may jump while timers count on: it is looked at this often. */
const EXPIRY_CHECK_MS = 60_000;

/** What a peer hears whose session is cut. */
const NOT_PERMITTED_ANY_MORE = "the permission was withdrawn or has expired";

/** How long a path may take to be measured when somebody asks for the status. */
const MEASURING_MS = 1_000;

/** Shares MCP servers with those who may use them. */
export class McpHost implements AsyncDisposable {
  readonly #options: McpHostOptions;
  readonly #services: ReadonlyMap<string, McpService>;
  readonly #host: Host;
  /** Ends what a session still does, before its peer has heard that it is cut. */
  readonly #cuts = new Map<Session, AbortController>();
  #access: Access;
  #expiry: Disposable | undefined;
  #prewarmedUntil = Infinity;
  #leftOut = 0;
  #ended = false;

  /** Makes a host that accepts nothing until {@link serve} is called. */
  constructor(options: McpHostOptions) {
    this.#options = options;
    this.#access = options.access;
    this.#services = new Map(options.services.map((service) => [service.name, service]));
    this.#host = new Host({
      ...options,
      knows: (peer) => this.#knows(peer),
      decide: (peer, open) => this.#decide(peer, open),
      permits: (peer, service) => !isReserved(service) && this.#mayOpen(peer, service).allowed,
    });
  }

  /** The sessions that there are, live or detached, in the order in which they were opened. */
  get sessions(): Iterable<HostedSession> {
    return this.#host.sessions;
  }

  /** Makes ready for callers. {@link serve} does that by itself. */
  begin(): void {
    this.#prewarm();
    this.#scheduleExpiry();
  }

  /** Accepts every transport of `incoming` until it ends. */
  async serve(incoming: AsyncIterable<Transport>): Promise<void> {
    this.begin();
    await this.#host.serve(incoming);
  }

  /** Runs the whole life of one transport in the background. Never throws. */
  accept(transport: Transport): void {
    this.#host.accept(transport);
  }

  /** Whether a peer that somebody says is calling would not be refused whatever it asks for. */
  expects(peer: PeerId): boolean {
    return this.#knows(peer);
  }

  #knows(peer: PeerId): boolean {
    const { refreshAccess, identity, flagGrants, clock } = this.#options;
    refreshAccess?.(); // the host asks this first, whatever a caller wants
    return peer === identity.peerId || isKnown(this.#access, flagGrants, peer, clock.now());
  }

  /** Puts a new `access.json` into force: sessions that it no longer permits end. */
  accessChanged(access: Access): void {
    this.#access = access;
    this.#enforce();
  }

  /** Ends everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#ended = true;
    this.#expiry?.[Symbol.dispose]();
    await Promise.all([
      this.#host[Symbol.asyncDispose](),
      ...this.#options.services.map((service) => service[Symbol.asyncDispose]()),
    ]);
  }

  #decide(peer: PeerId, open: OpenBody): OpenDecision {
    if (open.service === CONTROL_SERVICE) return this.#decideControl(peer);
    if (open.service === JOIN_SERVICE) return this.#decideJoin();
    const permitted = this.#permitted(peer);
    if (open.service === ONLY_SERVICE) {
      const [only, ...others] = permitted;
      if (only === undefined) return this.#unauthorized(peer, open.service);
      const usual = permitted.find(({ name }) => name === DEFAULT_SERVICE);
      if (usual === undefined && others.length > 0) return ambiguous(permitted);
      return this.#grant(peer, usual ?? only);
    }
    const service = permitted.find(({ name }) => name === open.service);
    if (service !== undefined) return this.#grant(peer, service);
    // One answer for what is not there and for what this peer may not know is there.
    return permitted.length > 0
      ? unknownService(open.service, permitted)
      : this.#unauthorized(peer, open.service);
  }

  #unauthorized(peer: PeerId, asked: string): OpenDecision {
    const [first] = this.#services.keys();
    const usual = this.#services.has(DEFAULT_SERVICE) ? DEFAULT_SERVICE : first;
    const service = asked === ONLY_SERVICE ? usual : asked;
    const isServed = service !== undefined && this.#services.has(service);
    const cure = isServed ? this.#options.cureFor?.(peer, parseServiceName(service)) : undefined;
    return { ...unauthorized(asked), ...(cure === undefined ? {} : { cure }) };
  }

  #decideControl(peer: PeerId): OpenDecision {
    if (peer !== this.#options.identity.peerId) return unauthorized(CONTROL_SERVICE);
    return {
      granted: true,
      service: CONTROL_SERVICE,
      maxMessage: MAX_CONTROL_MESSAGE_BYTES,
      run: (session) => serveControl(session, this.#controlMethods()),
    };
  }

  /** Strangers may open it, and say one short thing. */
  #decideJoin(): OpenDecision {
    const { join } = this.#options;
    if (join === undefined) return unauthorized(JOIN_SERVICE);
    return {
      granted: true,
      service: JOIN_SERVICE,
      maxMessage: EARLY_DATA_BYTES,
      window: EARLY_DATA_BYTES,
      run: join,
    };
  }

  #grant(peer: PeerId, service: McpService): OpenDecision {
    const room = this.#roomFor(peer, service.name);
    if (room === null) {
      const reason = "this peer runs as many of its children as it may";
      return { granted: false, code: "busy", reason };
    }
    const caller = this.#caller(peer, service);
    return {
      granted: true,
      service: service.name,
      maxMessage: service.maxMessage,
      detachTimeoutMs: this.#options.detachTimeoutMs ?? DETACH_TIMEOUT_MS,
      run: (session) => this.#run(session, service, caller, room),
    };
  }

  /**
   * Finds room for another session of `peer` with a service, if need be in the place of one that is detached.
   * What counts are the sessions that have not ended, whether or not their child still runs: a session is among
   * them from the moment of its grant. Resolves when the children of those that have ended are gone, too, as
   * far as there would be too many; null where there is no room.
   */
  #roomFor(peer: PeerId, service: string): Promise<unknown> | null {
    const there = [...this.#host.sessions].filter((hosted) =>
      hosted.peer === peer && hosted.service === service
    );
    const current = there.filter(({ session }) => session.state !== "ended");
    if (current.length >= MAX_CHILDREN_PER_PEER_SERVICE && !this.#endLongestDetached(current)) {
      return null;
    }
    if (there.length < MAX_CHILDREN_PER_PEER_SERVICE) return Promise.resolve();
    const ended = there.filter(({ session }) => session.state === "ended");
    return Promise.all(ended.map(({ over }) => over));
  }

  /** Ends the one of `sessions` that has been detached for longest. Returns whether there is one. */
  #endLongestDetached(sessions: readonly HostedSession[]): boolean {
    const [oldest, ...others] = sessions.filter(({ session }) => session.state === "detached");
    if (oldest === undefined) return false;
    const { session, peer, service } = others.reduce(
      (longest, hosted) => lostAt(hosted) < lostAt(longest) ? hosted : longest,
      oldest,
    );
    session.abort(new SessionError("session_lost", "The peer opened another session in its place"));
    this.#options.log.info("detached session ended: its peer needs the room", { peer, service });
    return true;
  }

  #caller(peer: PeerId, service: McpService): Caller {
    const name = this.#options.nameOf(peer);
    return { peer, service: service.name, ...(name === undefined ? {} : { name }) };
  }

  /** Keeps children ready for those who may use them now. */
  #prewarm(): void {
    if (this.#ended) return;
    const { services, flagGrants, clock, log } = this.#options;
    const plan = prewarmPlan({
      access: this.#access,
      flagGrants,
      services: services.map(({ name, prewarm }) => ({ name: parseServiceName(name), prewarm })),
      now: clock.now(),
    });
    for (const service of services) {
      const peers = plan.peers.get(parseServiceName(service.name)) ?? [];
      service.prewarmFor(peers.map((peer) => this.#caller(peer, service)));
    }
    this.#prewarmedUntil = plan.expires;
    if (plan.leftOut > this.#leftOut) {
      log.warn("not all peers have prewarmed servers, as there would be too many", {
        without: plan.leftOut,
        limit: MAX_PREWARMED_CHILDREN,
      });
    }
    this.#leftOut = plan.leftOut;
  }

  /** Runs a session once there is room for its child. It may be cut, end or lose its permission before that. */
  async #run(
    session: Session,
    service: McpService,
    caller: Caller,
    room: Promise<unknown>,
  ): Promise<void> {
    const cut = new AbortController();
    this.#cuts.set(session, cut);
    this.#scheduleExpiry();
    try {
      await Promise.race([room, session.ended]);
      if (session.state === "ended" || cut.signal.aborted) return;
      if (!this.#mayOpen(caller.peer, service.name).allowed) throw notPermittedAnyMore();
      await service.run(session, caller, cut.signal);
    } finally {
      this.#cuts.delete(session);
    }
  }

  #permitted(peer: PeerId): McpService[] {
    return [...this.#services.values()].filter(({ name }) => this.#mayOpen(peer, name).allowed);
  }

  #mayOpen(peer: PeerId, service: string) {
    const { flagGrants, clock } = this.#options;
    return mayOpen(this.#access, flagGrants, peer, parseServiceName(service), clock.now());
  }

  #enforce(): void {
    this.#prewarm();
    const lost = ({ peer, service }: HostedSession) =>
      !isReserved(service) && !this.#mayOpen(peer, service).allowed;
    for (const hosted of this.#host.sessions) {
      const cut = this.#cuts.get(hosted.session);
      if (cut === undefined || cut.signal.aborted || !lost(hosted)) continue;
      cut.abort();
      this.#options.log.warn("session cut: its permission was withdrawn", {
        peer: hosted.peer,
        service: hosted.service,
      });
    }
    void this.#host.cut(lost, { code: "unauthorized", reason: NOT_PERMITTED_ANY_MORE });
    this.#scheduleExpiry();
  }

  /** Sets one timer towards the earliest end of a permission that a running or a ready child stands on. */
  #scheduleExpiry(): void {
    this.#expiry?.[Symbol.dispose]();
    this.#expiry = undefined;
    if (this.#ended) return;
    let earliest = this.#prewarmedUntil;
    for (const { peer, service } of this.#host.sessions) {
      if (isReserved(service)) continue;
      const decision = this.#mayOpen(peer, service);
      if (decision.allowed) earliest = Math.min(earliest, decision.expires ?? Infinity);
    }
    if (earliest === Infinity) return;
    const wait = Math.min(Math.max(earliest - this.#options.clock.now(), 0), EXPIRY_CHECK_MS);
    this.#expiry = this.#options.clock.after(wait, () => this.#enforce());
  }

  #controlMethods(): ControlMethods {
    return {
      ...this.#options.control,
      status: async () => {
        const sessions = [...this.#host.sessions].map(({ session }) => session);
        await Promise.all(sessions.map((session) => session.measureRoundTrip(MEASURING_MS)));
        return this.#status();
      },
    };
  }

  #status(): MsgPackInput {
    return {
      pid: Deno.pid,
      instance: hex(this.#options.instance),
      services: [...this.#services.keys()],
      prewarmed: [...this.#services.values()].flatMap(({ name: service, prewarmed }) =>
        prewarmed.map(({ peer, ready }) => ({ peer, service, ready }))
      ),
      sessions: [...this.#host.sessions]
        .filter(({ service }) => !isReserved(service))
        .map((hosted) => this.#sessionStatus(hosted)),
    };
  }

  #sessionStatus({ session, peer, service, since }: HostedSession) {
    const { roundTripMs } = session;
    return {
      peer,
      service,
      since,
      path: describePath(session.path),
      ...(roundTripMs === undefined ? {} : { round_trip_ms: Math.round(roundTripMs) }),
      state: session.state,
      resumptions: session.counts.resumptions,
      messages_from_peer: session.counts.messagesReceived,
      messages_to_peer: session.counts.messagesSent,
      bytes_from_peer: session.counts.bytesReceived,
      bytes_to_peer: session.counts.bytesSent,
    };
  }
}

/** When a detached session lost its connection, in monotonic milliseconds. */
function lostAt({ session }: HostedSession): number {
  return session.detachedAt ?? Infinity;
}

function notPermittedAnyMore(): SessionError {
  return new SessionError("unauthorized", NOT_PERMITTED_ANY_MORE);
}

function unauthorized(service: string): OpenDecision & { readonly granted: false } {
  const what = service === ONLY_SERVICE ? "any service here" : label(service);
  const reason = `this peer is not authorised for ${what}`;
  return { granted: false, code: "unauthorized", reason };
}

function ambiguous(permitted: readonly McpService[]): OpenDecision {
  const names = permitted.map(({ name }) => label(name)).join(", ");
  return {
    granted: false,
    code: "unknown_service",
    reason: `there are several services, name one: ${names}`,
  };
}

function unknownService(service: string, permitted: readonly McpService[]): OpenDecision {
  const names = permitted.map(({ name }) => label(name)).join(", ");
  return {
    granted: false,
    code: "unknown_service",
    reason: `there is no service ${label(service)} for this peer; it may use: ${names}`,
  };
}

/** Returns the services that a refusal names which one of them cures; none where it does not. */
export function servicesIn(refusal: string): string[] {
  const listed = /(?:name one|it may use): ([a-z0-9._, -]+)$/.exec(refusal)?.[1];
  return listed?.split(", ") ?? [];
}

function label(service: string): string {
  try {
    return serviceLabel(parseServiceName(service));
  } catch {
    return "that service"; // not a name we would print
  }
}
