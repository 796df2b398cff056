/**
 * Keeps a serving process known to a registry: registered, its records published and fresh, present.
 *
 * It holds one control connection. When that is lost it dials again, with growing pauses, for as long as it
 * lives, and publishes everything anew; a registry that restarted, lost its database or was gone for an hour
 * needs nobody's help. Trouble is logged once when it begins and once when it ends, and what waiting does
 * not cure as an error with what to do; it is tried again nevertheless, since somebody may do it. In the
 * end the services are withdrawn, if that takes no longer than a second.
 */

import { within } from "../clock.ts";
import { messageOf, TalosError } from "../errors.ts";
import { formatHostPort } from "../identity/host_port.ts";
import type { ServiceName } from "../identity/names.ts";
import type { PeerId } from "../identity/peer_id.ts";
import type { Log } from "../log.ts";
import {
  type EndpointRecord,
  openEndpointRecord,
  type SignedEndpointRecord,
  signEndpointRecord,
} from "../wire/endpoint_record.ts";
import { WireError } from "../wire/errors.ts";
import { SUPPORTED_VERSIONS } from "../wire/preface.ts";
import { publishedAddresses } from "./local_addresses.ts";
import { RegistryClient, type RegistryOptions, RegistryRefused } from "./registry_client.ts";

/** What a publisher publishes. */
export interface PublisherOptions extends Omit<RegistryOptions, "signal"> {
  /** What we call ourselves. */
  readonly name: string;
  /** Whether we are hidden from listings now. */
  readonly unlisted: () => boolean;
  /** The services that this process serves. */
  readonly services: readonly ServiceName[];
  /** The port they are served on. */
  readonly port: number;
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
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 15_000;
const WITHDRAW_TIMEOUT_MS = 1_000;

/** What waiting does not cure. */
const HOPELESS: ReadonlySet<string> = new Set([
  "registry_key_changed",
  "token_required",
  "token_wrong",
  "not_a_registry",
  "registry_refused",
]);

/** Keeps services published until it is disposed of. */
export class Publisher implements AsyncDisposable {
  readonly #options: PublisherOptions;
  readonly #running: Promise<void>;
  readonly #published = Promise.withResolvers<void>();
  #attempted = Promise.withResolvers<void>();
  readonly #lastSeq = new Map<ServiceName, number>();
  #state: PublisherState = { state: "connecting" };
  #complaint = "";
  #stopped = false;
  /** Resolves when there is something to do before its time. */
  #nudge = Promise.withResolvers<void>();
  /** Ends the connection that is being made or is there. */
  #connection = new AbortController();

  /** Begins at once. */
  constructor(options: PublisherOptions) {
    this.#options = options;
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
    await this.#running;
  }

  async #run(): Promise<void> {
    const { random } = this.#options;
    let retryMs = FIRST_RETRY_MS;
    while (!this.#stopped) {
      try {
        this.#connection = new AbortController();
        const { signal } = this.#connection;
        await using client = await RegistryClient.connect({ ...this.#options, signal });
        await this.#publishAll(client);
        retryMs = FIRST_RETRY_MS;
        this.#report(client);
        if (!this.#stopped) await this.#keepFresh(client);
      } catch (error) {
        this.#complain(error);
      }
      if (this.#stopped) return;
      // Between half and one and a half of the pause: not all hosts come back at the same moment.
      const jitter = 0.5 + (random(1)[0] ?? 0) / 256;
      await this.#pause(Math.round(retryMs * jitter));
      retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
    }
  }

  /** Publishes again from time to time. Throws what ended the connection; withdraws when stopped. */
  async #keepFresh(client: RegistryClient): Promise<void> {
    const { clock } = this.#options;
    let lost: Error | undefined;
    const ended = client.ended.then((reason) => {
      lost = reason;
    });
    for (;;) {
      await this.#pause(REFRESH_MS, ended);
      if (lost !== undefined) throw lost;
      if (this.#stopped) break;
      await this.#publishAll(client);
      this.#report(client);
    }
    await within(clock, WITHDRAW_TIMEOUT_MS, this.#withdrawAll(client), undefined);
  }

  /** Waits until there is something to do, `ms` at most; a nudge since the last pause counts. */
  async #pause(ms: number, ended = new Promise<void>(() => {})): Promise<void> {
    const event = Promise.race([this.#nudge.promise, ended]);
    await within(this.#options.clock, ms, event, undefined);
    this.#nudge = Promise.withResolvers();
  }

  #report({ hello: { observed }, skewMs }: RegistryClient): void {
    const { log, address } = this.#options;
    if (this.#state.state === "connecting") {
      log.info("registered", { registry: formatHostPort(address), as: observed });
    }
    this.#complaint = "";
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
    if (this.#stopped || this.#complaint === code) return;
    this.#complaint = code;
    const expected = error instanceof TalosError && !HOPELESS.has(code);
    const say = expected ? log.warn : log.error;
    say(`not registered: ${messageOf(error)}`, { registry: formatHostPort(address) });
    if (error instanceof TalosError && !expected) {
      for (const hint of error.hints) log.info(`hint: ${hint}`);
    }
  }

  async #publishAll(client: RegistryClient): Promise<void> {
    const { name, unlisted, services } = this.#options;
    await client.register(name, unlisted());
    for (const service of services) await this.#publish(client, service, TTL_SECONDS);
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
    const record = this.#record(client, service, ttlSeconds, Math.max(clock.now(), last + 1));
    try {
      this.#lastSeq.set(service, record.seq);
      await client.publish(signEndpointRecord(identity, record));
    } catch (error) {
      if (!(error instanceof RegistryRefused) || error.refusal.code !== "stale") throw error;
      const signed = await this.#signedSeq(client, service);
      if (signed < record.seq) throw error;
      this.#lastSeq.set(service, signed + 1);
      await client.publish(signEndpointRecord(identity, { ...record, seq: signed + 1 }));
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
    const facts = {
      interfaces: interfaces(),
      observed: client.hello.observed,
      registryIsLocal: client.isLocal,
      ...(listenHost === undefined ? {} : { listenHost }),
    };
    return {
      peer: identity.peerId,
      service,
      name,
      instance,
      addresses: ttlSeconds === 0 ? [] : publishedAddresses(facts, port),
      relays: [],
      ...SUPPORTED_VERSIONS,
      seq,
      issuedAt: clock.now(),
      ttlSeconds,
    };
  }
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

/** Returns the interfaces' addresses, or none where that is not permitted. One of the thin executors. */
export function interfaceAddresses(log: Log): readonly string[] {
  try {
    return Deno.networkInterfaces().map(({ address }) => address);
  } catch (error) {
    log.warn("cannot list this machine's addresses", { why: messageOf(error) });
    return [];
  }
}
