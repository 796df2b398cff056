/**
 * Looks at a peer: what the registry says of it, every way to it on its own, what it lets us do, and its server.
 *
 * Every address and the relay are tried at the same time; the session goes over the first that leads there.
 */

import { findPeer, notFound, rememberedPeer } from "../../discovery/find_peer.ts";
import type { Whereabouts } from "../../discovery/find_peer.ts";
import { joinCircuit } from "../../discovery/join_circuit.ts";
import { within } from "../../clock.ts";
import { messageOf, TalosError } from "../../errors.ts";
import { petnameOf, resolvePeer } from "../../identity/contacts.ts";
import { DEFAULT_PEER_PORT, type HostPort } from "../../identity/host_port.ts";
import type { LocalIdentity } from "../../identity/local_identity.ts";
import { serviceLabel } from "../../identity/names.ts";
import { parsePeerAddress, type PeerAddress } from "../../identity/peer_address.ts";
import type { PeerId } from "../../identity/peer_id.ts";
import { DEFAULT_MAX_MESSAGE_BYTES } from "../../limits.ts";
import { SILENT } from "../../log.ts";
import { ONLY_SERVICE } from "../../mcp/mcp_host.ts";
import { SALT_BYTES, SESSION_ID_BYTES } from "../../session/bodies.ts";
import type { Connection } from "../../session/connection.ts";
import { dial } from "../../session/dial.ts";
import { Session } from "../../session/session.ts";
import { describePath, type Transport } from "../../transport/transport.ts";
import { ConnectionKind } from "../../wire/preface.ts";
import { connectInTime } from "../connect_ahead.ts";
import type { Context } from "../context.ts";
import { advised } from "../host_sessions.ts";
import { failure, type Finding, ok, skip } from "./finding.ts";
import type { Machine } from "./local_checks.ts";
import { probeServer } from "./mcp_probe.ts";
import {
  type Attempt,
  handshakeFindings,
  peerFinding,
  presenceFindings,
  type RelayAttempt,
  serverFinding,
  wayFindings,
} from "./peer_findings.ts";
import type { RegistryVisited } from "./registry_checks.ts";
import { lastSeenText } from "./registry_findings.ts";
import type { Check } from "./run_checks.ts";

/** How long TCP may take at one address. */
const TCP_LIMIT_MS = 3_000;

/** How long a handshake may take then: what answers it at all does so in one round trip. */
const HANDSHAKE_LIMIT_MS = 4_000;

/** A circuit, and the handshake in it. */
const RELAY_LIMIT_MS = 8_000;

/** All ways together: somewhat more than the slowest of them. */
const WAYS_LIMIT_MS = 12_000;

const LOOKUP_LIMIT_MS = 6_000;
const SESSION_LIMIT_MS = 10_000;

/** A server that says nothing for so long keeps its agent from starting. */
const SERVER_LIMIT_MS = 30_000;

/** What to do about a server that does not work: only its own machine can tell more. */
const SERVER_FIXES = [
  "on the host, see the server's own words: talos logs",
  "on the host, run the server's command by hand, and see what it says",
];

/** Looks at one peer. */
export class PeerExamination implements AsyncDisposable {
  readonly #context: Context;
  readonly #machine: Machine;
  readonly #visited: RegistryVisited;
  readonly #target: PeerAddress;
  #peer: PeerId | undefined;
  #whereabouts: Whereabouts | null = null;
  #connection: Connection | undefined;
  #session: Session | undefined;

  /** Looks at nobody yet. Throws IdentityError for a `target` that is not `PEER[/SERVICE][@HOST:PORT]`. */
  constructor(context: Context, target: string, machine: Machine, visited: RegistryVisited) {
    this.#context = context;
    this.#machine = machine;
    this.#visited = visited;
    this.#target = parsePeerAddress(target, DEFAULT_PEER_PORT);
  }

  /** Who is meant, once that is known. */
  get peer(): PeerId | undefined {
    return this.#peer;
  }

  /** The checks, in their order. */
  get checks(): readonly Check[] {
    return [
      {
        names: ["peer"],
        needs: () => ["wallet", "database"],
        limitMs: LOOKUP_LIMIT_MS,
        lateCode: "home_unusable",
        look: () => [this.#resolve()],
      },
      {
        names: ["peer_registered", "peer_online", "service"],
        needs: () => ["peer", "registry", "registry_key"],
        limitMs: LOOKUP_LIMIT_MS,
        lateCode: "registry_unreachable",
        look: () => this.#lookUp(),
      },
      {
        names: ["address", "relay", "handshake", "peer_clock", "peer_version"],
        needs: () => {
          this.#remember();
          return this.#hasWay ? ["peer"] : ["peer", "peer_registered", "peer_online", "service"];
        },
        limitMs: WAYS_LIMIT_MS,
        lateCode: "unreachable",
        look: (signal) => this.#reach(signal),
      },
      {
        names: ["authorisation"],
        needs: () => ["handshake", "peer_clock", "peer_version"],
        limitMs: SESSION_LIMIT_MS,
        lateCode: "connection_lost",
        look: () => this.#open(),
      },
      {
        names: ["server"],
        needs: () => ["authorisation"],
        limitMs: SERVER_LIMIT_MS,
        lateCode: "no_answer",
        lateFixes: SERVER_FIXES,
        look: () => this.#probe(),
      },
    ];
  }

  /** Closes what was opened. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#session?.close();
    this.#connection?.channel.close();
  }

  #resolve(): Finding {
    const { database, identity } = this.#machine;
    if (database === undefined) throw new TypeError("the database is opened first");
    const peer = resolvePeer(database, this.#target.peer);
    this.#peer = peer;
    const petname = petnameOf(database, peer);
    return peerFinding({ peer, petname, isSelf: peer === identity?.peerId });
  }

  async #lookUp(): Promise<readonly Finding[]> {
    const { client, visit, options } = this.#visited;
    const peer = this.#peer;
    if (client === undefined || visit === undefined) return [];
    if (options === undefined || peer === undefined) return [];
    const { clock } = this.#context;
    const { address, service } = this.#target;
    const found = await client.lookup(peer);
    const presence = presenceFindings({
      found,
      notFound: notFound(peer, options.address),
      hasAddress: address !== undefined,
      clock,
    });
    if (found === null) return presence;
    const which = service === undefined ? {} : { service };
    try {
      const where = await findPeer({
        ...options,
        visit,
        peer,
        called: this.#called(peer),
        ...which,
      });
      this.#whereabouts = where;
      const published = lastSeenText(where.publishedAt, clock).replace("last seen", "published");
      return [...presence, ok("service", `${serviceLabel(where.service)}, ${published}`)];
    } catch (error) {
      // That it serves nothing is said already.
      if (error instanceof TalosError && error.code === "peer_away") return presence;
      const missing = failure("service", error);
      return [...presence, address === undefined ? missing : { ...missing, status: "warn" }];
    }
  }

  /** While no registry answers, the peer may be where it was last seen. */
  #remember(): void {
    const { client, options } = this.#visited;
    if (this.#target.address !== undefined || client !== undefined) return;
    if (options === undefined || this.#peer === undefined) return;
    const { service } = this.#target;
    const which = service === undefined ? {} : { service };
    this.#whereabouts = rememberedPeer({ ...options, peer: this.#peer, ...which });
  }

  get #hasWay(): boolean {
    return this.#target.address !== undefined || this.#whereabouts !== null;
  }

  async #reach(signal: AbortSignal): Promise<readonly Finding[]> {
    const { identity } = this.#machine;
    const peer = this.#peer;
    if (identity === undefined || peer === undefined) return [];
    const { address } = this.#target;
    const addresses = address === undefined ? this.#whereabouts?.addresses ?? [] : [address];
    const dialling = addresses.map((one) => this.#dialAt(one, peer, identity, signal));
    const [relay, ...attempts] = await Promise.all([
      this.#dialRelay(peer, identity, signal),
      ...dialling,
    ]);
    const ways = wayFindings(attempts, relay);
    if (this.#connection !== undefined) {
      const { path, skewMs, versions } = this.#connection;
      const ms = [...attempts, relay].flatMap(({ handshakeMs }) => handshakeMs ?? [])[0] ?? 0;
      const facts = { peer, path: describePath(path), ms, skewMs, versions };
      return [...ways, ...handshakeFindings(facts)];
    }
    const answered = attempts.find(({ tcpMs }) => tcpMs !== undefined)?.error ??
      (relay.joinedMs === undefined ? undefined : relay.error);
    return answered === undefined ? ways : [...ways, ...handshakeFindings(answered)];
  }

  async #dialAt(
    address: HostPort,
    peer: PeerId,
    identity: LocalIdentity,
    signal: AbortSignal,
  ): Promise<Attempt> {
    const { clock } = this.#context;
    const began = clock.monotonic();
    let tcpMs: number | undefined;
    try {
      const connect = async () => {
        const transport = await connectInTime(address, signal, TCP_LIMIT_MS);
        tcpMs ??= clock.monotonic() - began;
        return transport;
      };
      await this.#dial(peer, identity, connect, TCP_LIMIT_MS + HANDSHAKE_LIMIT_MS);
      const all = clock.monotonic() - began;
      return { address, tcpMs: tcpMs ?? all, handshakeMs: all - (tcpMs ?? 0) };
    } catch (error) {
      const failed = { address, error: this.#advised(error, address) };
      return tcpMs === undefined ? failed : { ...failed, tcpMs };
    }
  }

  async #dialRelay(
    peer: PeerId,
    identity: LocalIdentity,
    signal: AbortSignal,
  ): Promise<RelayAttempt> {
    const { clock } = this.#context;
    const { client, options } = this.#visited;
    const { address } = this.#target;
    if (address !== undefined) return { skipped: "not asked: an address was given" };
    if (client === undefined || options === undefined) {
      return { skipped: "not asked: no registry answers, and the relay is its" };
    }
    if (this.#whereabouts?.presence?.online !== true) {
      return { skipped: "not asked: the peer is not connected to the registry" };
    }
    const { service } = this.#whereabouts;
    const { host, port } = options.address;
    const began = clock.monotonic();
    let joined: { readonly relay: string; readonly joinedMs: number } | undefined;
    try {
      const connect = async () => {
        const leg = await client.circuit(peer, service);
        const registry = { host, port };
        const source = `relayed ${peer}`;
        const transport = await joinCircuit(leg, { ...options, registry, source, signal });
        joined ??= { relay: transport.path.remote, joinedMs: clock.monotonic() - began };
        return transport;
      };
      await this.#dial(peer, identity, connect, RELAY_LIMIT_MS);
      const all = clock.monotonic() - began;
      return { ...joined, handshakeMs: all - (joined?.joinedMs ?? 0) };
    } catch (error) {
      return { ...joined, error: this.#advised(error) };
    }
  }

  /** Shakes hands and keeps the connection, if it is the first. Throws TalosError. */
  async #dial(
    peer: PeerId,
    identity: LocalIdentity,
    connect: () => Promise<Transport>,
    limitMs: number,
  ): Promise<Connection> {
    const { clock, random } = this.#context;
    const dialling = dial({
      identity,
      random,
      clock,
      log: SILENT,
      peer,
      kind: ConnectionKind.peer,
      connect,
    });
    const connection = await within(clock, limitMs, dialling, null);
    if (connection === null) {
      void dialling.then(({ channel }) => channel.close(), () => {});
      throw new TalosError(
        "handshake_timeout",
        `Cannot shake hands: something accepts the connection and says nothing for ${
          HANDSHAKE_LIMIT_MS / 1000
        } s`,
      );
    }
    if (this.#connection === undefined) this.#connection = connection;
    else connection.channel.close();
    return connection;
  }

  async #open(): Promise<readonly Finding[]> {
    const connection = this.#connection;
    if (connection === undefined) return [];
    const { clock, random } = this.#context;
    const session = Session.open(connection, {
      id: random(SESSION_ID_BYTES),
      service: this.#target.service ?? ONLY_SERVICE,
      maxMessage: DEFAULT_MAX_MESSAGE_BYTES,
      salt: random(SALT_BYTES),
    }, clock);
    this.#session = session;
    try {
      const { service } = await session.opened;
      return [ok("authorisation", `this peer may use ${service.replace(/^mcp\//, "")}`)];
    } catch (error) {
      return [failure("authorisation", this.#advised(error))];
    }
  }

  async #probe(): Promise<readonly Finding[]> {
    const session = this.#session;
    if (session === undefined) return [skip("server", "not asked: there is no session")];
    const { clock } = this.#context;
    try {
      const facts = await probeServer(
        session,
        () => clock.monotonic(),
        () => session.closeReason?.reason,
      );
      return [serverFinding(facts)];
    } catch (error) {
      const told = error instanceof TalosError ? error.advise(...SERVER_FIXES) : error;
      return [failure("server", told)];
    }
  }

  #called(peer: PeerId): string {
    const { peer: reference } = this.#target;
    return reference.kind === "id" ? peer : reference.text;
  }

  /** Returns an error with the advice that `mcp-connect` gives for it. */
  #advised(error: unknown, address: HostPort | undefined = undefined): TalosError {
    if (error instanceof Deno.errors.NotCapable) throw error;
    const { identity } = this.#machine;
    if (!(error instanceof TalosError)) return new TalosError("internal", messageOf(error));
    if (identity === undefined || this.#peer === undefined) return error;
    const { os } = this.#context;
    const { service } = this.#target;
    const called = this.#called(this.#peer);
    const self = identity.peerId;
    const told = advised(error, { called, address, service, self, os });
    return told instanceof TalosError ? told : error;
  }
}
