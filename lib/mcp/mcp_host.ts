/**
 * A host of MCP servers: which peer may open which of them, and what happens when that changes.
 *
 * Default deny, decided anew at every OPEN and again whenever `access.json` changes or a grant expires;
 * a session that lost its permission ends at once. A peer learns the names of services that it may use
 * and of no others. The control service is open to this very identity alone.
 */

import { type Bytes, hex } from "../bytes.ts";
import type { Clock } from "../clock.ts";
import type { RandomBytes } from "../crypto/random.ts";
import { type Access, type Grant, isKnown, mayOpen } from "../identity/access.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import { CONTROL_SERVICE, parseServiceName, serviceLabel } from "../identity/names.ts";
import type { PeerId } from "../identity/peer_id.ts";
import type { Log } from "../log.ts";
import type { OpenBody } from "../session/bodies.ts";
import {
  type ControlMethods,
  MAX_CONTROL_MESSAGE_BYTES,
  serveControl,
} from "../session/control.ts";
import { Host, type HostedSession, type OpenDecision } from "../session/host.ts";
import type { Session } from "../session/session.ts";
import { describePath, type Transport } from "../transport/transport.ts";
import type { Caller } from "./launcher.ts";
import type { McpService } from "./serve.ts";

/** What a caller asks for who leaves the choice to the host: the only MCP server that it may use. */
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
  /** What this host calls a peer, if it has a name for it. */
  readonly nameOf: (peer: PeerId) => string | undefined;
  /** What the process answers on the control service beside `status`. */
  readonly control?: ControlMethods;
}

/** An expiry is a moment of wall time, which may jump while timers count on: it is looked at this often. */
const EXPIRY_CHECK_MS = 60_000;

/** Shares MCP servers with those who may use them. */
export class McpHost implements AsyncDisposable {
  readonly #options: McpHostOptions;
  readonly #services: ReadonlyMap<string, McpService>;
  readonly #host: Host;
  /** Ends what a session still does, before its peer has heard that it is cut. */
  readonly #cuts = new Map<Session, AbortController>();
  #access: Access;
  #expiry: Disposable | undefined;

  /** Makes a host that accepts nothing until {@link serve} is called. */
  constructor(options: McpHostOptions) {
    this.#options = options;
    this.#access = options.access;
    this.#services = new Map(options.services.map((service) => [service.name, service]));
    this.#host = new Host({
      ...options,
      knows: (peer) =>
        peer === options.identity.peerId ||
        isKnown(this.#access, options.flagGrants, peer, options.clock.now()),
      decide: (peer, open) => this.#decide(peer, open),
    });
  }

  /** Accepts every transport of `incoming` until it ends. */
  async serve(incoming: AsyncIterable<Transport>): Promise<void> {
    await this.#host.serve(incoming);
  }

  /** Puts a new `access.json` into force: sessions that it no longer permits end. */
  accessChanged(access: Access): void {
    this.#access = access;
    this.#enforce();
  }

  /** Ends everything. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#expiry?.[Symbol.dispose]();
    await this.#host[Symbol.asyncDispose]();
  }

  #decide(peer: PeerId, open: OpenBody): OpenDecision {
    if (open.service === CONTROL_SERVICE) return this.#decideControl(peer);
    const permitted = this.#permitted(peer);
    if (open.service === ONLY_SERVICE) {
      const [only, ...others] = permitted;
      if (only === undefined) return unauthorized(open.service);
      if (others.length > 0) return ambiguous(permitted);
      return this.#grant(peer, only);
    }
    const service = permitted.find(({ name }) => name === open.service);
    if (service !== undefined) return this.#grant(peer, service);
    // One answer for what is not there and for what this peer may not know is there.
    return permitted.length > 0
      ? unknownService(open.service, permitted)
      : unauthorized(open.service);
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

  #grant(peer: PeerId, service: McpService): OpenDecision {
    if (!service.hasRoom(peer)) {
      const reason = "this peer runs as many of its children as it may";
      return { granted: false, code: "busy", reason };
    }
    const name = this.#options.nameOf(peer);
    const caller = { peer, service: service.name, ...(name === undefined ? {} : { name }) };
    return {
      granted: true,
      service: service.name,
      maxMessage: service.maxMessage,
      run: (session: Session) => this.#run(session, service, caller),
    };
  }

  async #run(session: Session, service: McpService, caller: Caller): Promise<void> {
    const cut = new AbortController();
    this.#cuts.set(session, cut);
    this.#scheduleExpiry();
    try {
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
    const lost = ({ peer, service }: HostedSession) =>
      service !== CONTROL_SERVICE && !this.#mayOpen(peer, service).allowed;
    for (const hosted of this.#host.sessions) {
      const cut = this.#cuts.get(hosted.session);
      if (cut === undefined || cut.signal.aborted || !lost(hosted)) continue;
      cut.abort();
      this.#options.log.warn("session cut: its permission was withdrawn", {
        peer: hosted.peer,
        service: hosted.service,
      });
    }
    const reason = "the permission was withdrawn or has expired";
    void this.#host.cut(lost, { code: "unauthorized", reason });
    this.#scheduleExpiry();
  }

  /** Sets one timer towards the earliest end of a permission that a running session stands on. */
  #scheduleExpiry(): void {
    this.#expiry?.[Symbol.dispose]();
    this.#expiry = undefined;
    let earliest = Infinity;
    for (const { peer, service } of this.#host.sessions) {
      if (service === CONTROL_SERVICE) continue;
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
      status: () => ({
        pid: Deno.pid,
        instance: hex(this.#options.instance),
        services: [...this.#services.keys()],
        sessions: [...this.#host.sessions]
          .filter(({ service }) => service !== CONTROL_SERVICE)
          .map(({ session, peer, service, since }) => ({
            peer,
            service,
            since,
            path: describePath(session.path),
            messages_from_peer: session.counts.messagesReceived,
            messages_to_peer: session.counts.messagesSent,
          })),
      }),
    };
  }
}

function unauthorized(service: string): OpenDecision {
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

function label(service: string): string {
  try {
    return serviceLabel(parseServiceName(service));
  } catch {
    return "that service"; // not a name we would print
  }
}
