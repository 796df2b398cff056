/**
 * Keeps a serving process known to a registry: registered, its records published and fresh, present.
 *
 * It holds one control connection. When that is lost it dials again, with growing pauses, for as long as it
 * lives, and publishes everything anew; a registry that restarted, lost its database or was gone for an hour
 * needs nobody's help. Trouble is logged once when it begins and once when it ends; a registry that soon ends
 * each connection counts as one that does not answer. What waiting does not cure is logged as an error with
 * what to do; it is tried again nevertheless, since somebody may do it. In the end the services are
 * withdrawn, if that takes no longer than a second.
 */

import { within } from "../clock.ts";
import { messageOf, TalosError } from "../errors.ts";
import { formatHostPort } from "../identity/host_port.ts";
import type { ServiceName } from "../identity/names.ts";
import type { PeerId } from "../identity/peer_id.ts";
import { MAX_SEQ_AHEAD_MS } from "../limits.ts";
import { race } from "../race.ts";
import {
  type EndpointRecord,
  openEndpointRecord,
  type SignedEndpointRecord,
  signEndpointRecord,
} from "../wire/endpoint_record.ts";
import { WireError } from "../wire/errors.ts";
import { SUPPORTED_VERSIONS } from "../wire/preface.ts";
import { DiscoveryError, type DiscoveryErrorCode } from "./errors.ts";
import { publishedAddresses } from "./local_addresses.ts";
import { type CallTaker, RelayCalls } from "./relay_calls.ts";
import { RegistryClient, type RegistryOptions, RegistryRefused } from "./registry_client.ts";

/** What a publisher publishes. */
export interface PublisherOptions extends Omit<RegistryOptions, "signal" | "onInvitation"> {
  /** What we call ourselves. */
  readonly name: string;
  /** Whether we are hidden from listings now. */
  readonly unlisted: () => boolean;
  /** The services that this process serves. */
  readonly services: readonly ServiceName[];
  /** The port they are served on; 0 where nothing is listened on, and the relay is the only way. */
  readonly port: number;
  /** Takes calls through the registry's relay; without it there are none. */
  readonly calls?: CallTaker;
  /** The address that is listened on, if it is not all of them. */
  readonly listenHost?: string;
  /** The addresses of this machine's interfaces now, as IP literals. */
  readonly interfaces: () => readonly string[];
}

/** How things stand with the registry. */
export type PublisherState =
  | {
    readonly state: "connecting";
    /** What went wrong before, if anything did. */
    readonly why?: string;
  }
  | {
    readonly state: "published";
    /** Our address as the registry sees it. */
    readonly observed: string;
    /** The registry's clock minus ours, in milliseconds. */
    readonly skewMs: number;
  };

/** A record is worth trying for so long, and is published again at half of it. */
const TTL_SECONDS = 600;
const REFRESH_MS = TTL_SECONDS * 1000 / 2;
/**
 * How often this machine's addresses are compared with those that were published: Deno passes no system's
 * notice of a change on, and callers whose path broke look for the new ones. Looking takes 0.1 ms.
 */
const ADDRESS_CHECK_MS = 2_000;
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 15_000;
const WITHDRAW_TIMEOUT_MS = 1_000;

/** What lasts so long is no flapping. */
const STEADY_MS = 60_000;

/** How many connections in a row may be lost sooner before that counts as one long outage: restarts are. */
const FORGIVEN_LOSSES = 2;

/** What waiting does not cure. */
const HOPELESS: ReadonlySet<DiscoveryErrorCode> = new Set([
  "registry_key_changed",
  "token_required",
  "token_wrong",
  "not_a_registry",
  "registry_refused",
]);

/** Keeps services published until it is disposed of. */
export class Publisher implements AsyncDisposable {
  readonly #options: PublisherOptions;
  readonly #calls: RelayCalls | undefined;
  readonly #running: Promise<void>;
  readonly #published = Promise.withResolvers<void>();
  #attempted = Promise.withResolvers<void>();
  readonly #lastSeq = new Map<ServiceName, number>();
  #state: PublisherState = { state: "connecting" };
  /** What was complained of since things went well. */
  readonly #complaints = new Set<string>();
  #retryMs = FIRST_RETRY_MS;
  /** Connections in a row that were lost soon after everything was published. */
  #earlyLosses = 0;
  /** This machine's addresses when it published last. */
  #publishedFrom = "";
  #stopped = false;
  /** Resolves when there is something to do before its time. */
  #nudge = Promise.withResolvers<void>();
  /** Ends the connection that is being made or is there. */
  #connection = new AbortController();

  /** Begins at once. */
  constructor(options: PublisherOptions) {
    this.#options = options;
    const { calls, address: { host, port }, connect, clock, log } = options;
    if (calls !== undefined) {
      this.#calls = new RelayCalls({ ...calls, registry: { host, port }, connect, clock, log });
    }
    this.#running = this.#run();
  }

  /** How things stand now. */
  get state(): PublisherState {
    return this.#state;
  }

  /** Resolves when everything was published for the first time. */
  get published(): Promise<void> {
    return this.#published.promise;
  }

  /** Resolves when the attempt to publish that is under way, or the next one, has ended, well or not. */
  get attempted(): Promise<void> {
    return this.#attempted.promise;
  }

  /** Publishes everything anew now, or tries to connect now. Resolves when that has ended, well or not. */
  refresh(): Promise<void> {
    this.#nudge.resolve();
    return this.attempted;
  }

  /** Withdraws the services and ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    if (this.#state.state === "connecting") this.#connection.abort();
    this.#nudge.resolve();
    this.#calls?.[Symbol.dispose]();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { random } = this.#options;
    while (!this.#stopped) {
      try {
        this.#connection = new AbortController();
        const { signal } = this.#connection;
        await using client = await RegistryClient.connect({
          ...this.#options,
          signal,
          onInvitation: (invitation, client) => this.#calls?.invited(invitation, client),
        });
        await this.#publishAll(client);
        this.#report(client);
        if (!this.#stopped) await this.#keepFresh(client);
      } catch (error) {
        this.#complain(error);
      }
      if (this.#stopped) return;
      // Between half and one and a half of the pause: not all hosts come back at the same moment.
      const jitter = 0.5 + (random(1)[0] ?? 0) / 256;
      await this.#pause(Math.round(this.#retryMs * jitter));
      this.#retryMs = Math.min(2 * this.#retryMs, LAST_RETRY_MS);
    }
  }

  /** Publishes again from time to time. Throws what ended the connection; withdraws when stopped. */
  async #keepFresh(client: RegistryClient): Promise<void> {
    const { clock } = this.#options;
    let isSteady = false;
    using _steady = clock.after(STEADY_MS, () => {
      isSteady = true;
      if (this.#isFlapping) this.#wentWell(client);
      this.#earlyLosses = 0;
    });
    let lost: Error | undefined;
    const ended = client.ended.then((reason) => {
      lost = reason;
    });
    for (;;) {
      const isAsHere = await this.#untilDue(ended);
      if (lost !== undefined) {
        if (!isSteady) this.#earlyLosses++;
        throw lost;
      }
      if (this.#stopped) break;
      if (!isAsHere) return; // the connection may have gone with the address that it was made from
      await this.#publishAll(client);
      this.#report(client);
    }
    await within(clock, WITHDRAW_TIMEOUT_MS, this.#withdrawAll(client), undefined);
  }

  /** Waits until it is time to publish again, or for something to happen. Returns whether we are where we were. */
  async #untilDue(ended: Promise<void>): Promise<boolean> {
    const { clock, interfaces } = this.#options;
    const dueAt = clock.monotonic() + REFRESH_MS;
    for (;;) {
      const leftMs = dueAt - clock.monotonic();
      if (await this.#pause(Math.min(ADDRESS_CHECK_MS, leftMs), ended)) return true;
      if (interfaces().join() !== this.#publishedFrom) return false;
      if (leftMs <= ADDRESS_CHECK_MS) return true;
    }
  }

  /**
   * Waits until there is something to do, `ms` at most, and returns whether there is; a nudge since the last
   * pause counts.
   */
  async #pause(ms: number, ended = new Promise<void>(() => {})): Promise<boolean> {
    const event = race(this.#nudge.promise, ended).then(() => true);
    const happened = await within(this.#options.clock, ms, event, false);
    this.#nudge.resolve(); // ends the race, which would wait at `ended` for the life of the connection
    this.#nudge = Promise.withResolvers();
    return happened;
  }

  get #isFlapping(): boolean {
    return this.#earlyLosses > FORGIVEN_LOSSES;
  }

  #wentWell({ hello: { observed } }: RegistryClient): void {
    const { log, address } = this.#options;
    log.info("registered", { registry: formatHostPort(address), as: observed });
    this.#complaints.clear();
    this.#retryMs = FIRST_RETRY_MS;
  }

  #report(client: RegistryClient): void {
    const { hello: { observed }, skewMs } = client;
    if (this.#state.state === "connecting" && !this.#isFlapping) this.#wentWell(client);
    this.#state = { state: "published", observed, skewMs };
    this.#published.resolve();
    this.#attemptEnded();
  }

  #attemptEnded(): void {
    const { resolve } = this.#attempted;
    this.#attempted = Promise.withResolvers();
    resolve();
  }

  #complain(error: unknown): void {
    const { log, address } = this.#options;
    this.#state = { state: "connecting", why: messageOf(error) };
    this.#attemptEnded();
    const code = error instanceof TalosError ? error.code : "internal";
    if (this.#stopped || this.#complaints.has(code)) return;
    this.#complaints.add(code);
    const passes = error instanceof TalosError && !isHopeless(error);
    const say = passes ? log.warn : log.error;
    say(`not registered: ${messageOf(error)}`, { registry: formatHostPort(address) });
    if (isHopeless(error)) { for (const hint of error.hints) log.info(`hint: ${hint}`); }
  }

  async #publishAll(client: RegistryClient): Promise<void> {
    const { name, unlisted, services, clock } = this.#options;
    await client.register(name, unlisted());
    const wasAhead = this.#leastIssuedAt > clock.now();
    for (const service of services) await this.#publish(client, service, TTL_SECONDS);
    if (wasAhead || this.#leastIssuedAt <= clock.now()) return;
    // One record has to be dated ahead, so callers would take the others for outlived ones.
    for (const service of services) await this.#publish(client, service, TTL_SECONDS);
  }

  /** The earliest date, Unix time in milliseconds, of a record that goes on from our last ones. */
  get #leastIssuedAt(): number {
    return Math.max(0, ...this.#lastSeq.values()) - MAX_SEQ_AHEAD_MS;
  }

  /** Never throws: what cannot be withdrawn is found to be gone by those who try it. */
  async #withdrawAll(client: RegistryClient): Promise<void> {
    try {
      for (const service of this.#options.services) await this.#publish(client, service, 0);
    } catch (error) {
      this.#options.log.debug("not withdrawn", { why: messageOf(error) });
    }
  }

  /**
   * Publishes one record; where the registry has a newer one that we signed, the next goes on from there.
   * A mere number is not believed: signed at the end of all numbers, our record would be the last one.
   */
  async #publish(client: RegistryClient, service: ServiceName, ttlSeconds: number): Promise<void> {
    const { identity, clock } = this.#options;
    const last = this.#lastSeq.get(service) ?? 0;
    const seq = Math.max(clock.now(), last + 1);
    const publish = (seq: number) => {
      this.#lastSeq.set(service, seq);
      const record = this.#record(client, service, ttlSeconds, seq);
      return client.publish(signEndpointRecord(identity, record));
    };
    try {
      await publish(seq);
    } catch (error) {
      if (!(error instanceof RegistryRefused) || error.refusal.code !== "stale") throw error;
      const signed = await this.#signedSeq(client, service);
      if (signed < seq) throw error;
      await publish(signed + 1);
    }
  }

  /** Returns the greatest `seq` of a record of this service that we signed and the registry has, or 0. */
  async #signedSeq(client: RegistryClient, service: ServiceName): Promise<number> {
    const { identity: { peerId } } = this.#options;
    const found = await client.lookup(peerId);
    const ours = (found?.records ?? []).map((signed) => ownRecord(peerId, signed));
    return Math.max(0, ...ours.map((own) => own?.service === service ? own.seq : 0));
  }

  #record(
    client: RegistryClient,
    service: ServiceName,
    ttlSeconds: number,
    seq: number,
  ): EndpointRecord {
    const { identity, instance, name, clock, interfaces, port, listenHost } = this.#options;
    const here = interfaces();
    this.#publishedFrom = here.join();
    const facts = {
      interfaces: here,
      observed: client.hello.observed,
      registryIsLocal: client.isLocal,
      ...(listenHost === undefined ? {} : { listenHost }),
    };
    return {
      peer: identity.peerId,
      service,
      name,
      instance,
      addresses: ttlSeconds === 0 || port === 0 ? [] : publishedAddresses(facts, port),
      relays: [],
      ...SUPPORTED_VERSIONS,
      seq,
      // A clock that was years ahead once leaves a `seq` that no honest date of today goes with.
      issuedAt: Math.max(clock.now(), this.#leastIssuedAt),
      ttlSeconds,
    };
  }
}

function isHopeless(error: unknown): error is DiscoveryError {
  return error instanceof DiscoveryError && HOPELESS.has(error.code);
}

/** Returns what `signed` says, or null where it is no record of `peer`. */
function ownRecord(peer: PeerId, signed: SignedEndpointRecord): EndpointRecord | null {
  try {
    return openEndpointRecord(peer, signed);
  } catch (error) {
    if (error instanceof WireError) return null;
    throw error;
  }
}
