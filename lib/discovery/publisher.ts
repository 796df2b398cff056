/**
 * Keeps a serving process known to a registry: registered, its records published and fresh, present.
 *
 * It holds one control connection. When that is lost it dials again, with growing pauses, for as long as it
 * lives, and publishes everything anew; a registry that restarted, lost its database or was gone for an hour
 * needs nobody's help. Trouble is logged once when it begins and once when it ends.
 */

import { within } from "../clock.ts";
import { messageOf, TalosError } from "../errors.ts";
import type { ServiceName } from "../identity/names.ts";
import type { Log } from "../log.ts";
import { type EndpointRecord, signEndpointRecord } from "../wire/endpoint_record.ts";
import { SUPPORTED_VERSIONS } from "../wire/preface.ts";
import { formatHostPort } from "../identity/host_port.ts";
import { publishedAddresses } from "./local_addresses.ts";
import { RegistryClient, type RegistryOptions, RegistryRefused } from "./registry_client.ts";

/** What a publisher publishes. */
export interface PublisherOptions extends RegistryOptions {
  /** What we call ourselves. */
  readonly name: string;
  /** Hidden from listings. */
  readonly unlisted: boolean;
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
  | { readonly state: "connecting"; readonly why?: string }
  | { readonly state: "published"; readonly observed: string };

/** A record is worth trying for so long, and is published again at half of it. */
const TTL_SECONDS = 600;
const REFRESH_MS = TTL_SECONDS * 1000 / 2;
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 15_000;

/** What waiting does not cure, so that the log says it as an error. */
const HOPELESS: ReadonlySet<string> = new Set([
  "registry_key_changed",
  "token_required",
  "token_wrong",
  "not_a_registry",
]);

/** Keeps services published until it is disposed of. */
export class Publisher implements AsyncDisposable {
  readonly #options: PublisherOptions;
  readonly #stop = Promise.withResolvers<"stop">();
  readonly #running: Promise<void>;
  readonly #published = Promise.withResolvers<void>();
  readonly #lastSeq = new Map<ServiceName, number>();
  #state: PublisherState = { state: "connecting" };
  #stopped = false;

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

  /** Withdraws the services and ends. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    this.#stop.resolve("stop");
    await this.#running;
  }

  async #run(): Promise<void> {
    const { clock, log, address } = this.#options;
    const registry = formatHostPort(address);
    let retryMs = FIRST_RETRY_MS;
    let complained = "";
    while (!this.#stopped) {
      try {
        await using client = await RegistryClient.connect(this.#options);
        await this.#publishAll(client, TTL_SECONDS);
        this.#state = { state: "published", observed: client.hello.observed };
        this.#published.resolve();
        log.info("registered", { registry, as: client.hello.observed });
        complained = "";
        retryMs = FIRST_RETRY_MS;
        await this.#keepFresh(client);
      } catch (error) {
        if (!(error instanceof TalosError)) throw error;
        if (complained !== error.code) {
          const say = HOPELESS.has(error.code) ? log.error : log.warn;
          say(`not registered: ${messageOf(error)}`, { registry });
          complained = error.code;
        }
        this.#state = { state: "connecting", why: messageOf(error) };
      }
      if (this.#stopped) return;
      if (this.#state.state === "published") {
        this.#state = { state: "connecting", why: "the connection was lost" };
      }
      await within(clock, retryMs * (0.5 + Math.random()), this.#stop.promise, "time");
      retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
    }
  }

  /** Publishes again from time to time, until the connection is lost or we are told to stop. */
  async #keepFresh(client: RegistryClient): Promise<void> {
    for (;;) {
      const change = Promise.race([client.ended.then(() => "lost" as const), this.#stop.promise]);
      const event = await within(this.#options.clock, REFRESH_MS, change, "time" as const);
      if (event === "lost") return;
      if (event === "stop") {
        await this.#publishAll(client, 0);
        return;
      }
      await this.#publishAll(client, TTL_SECONDS);
    }
  }

  async #publishAll(client: RegistryClient, ttlSeconds: number): Promise<void> {
    const { name, unlisted, services } = this.#options;
    await client.register(name, unlisted);
    for (const service of services) await this.#publish(client, service, ttlSeconds);
  }

  /** Publishes one record; a registry that has a newer one says which, and the next goes on from there. */
  async #publish(client: RegistryClient, service: ServiceName, ttlSeconds: number): Promise<void> {
    const { identity, clock } = this.#options;
    const last = this.#lastSeq.get(service) ?? 0;
    const record = this.#record(client, service, ttlSeconds, Math.max(clock.now(), last + 1));
    try {
      this.#lastSeq.set(service, record.seq);
      await client.publish(signEndpointRecord(identity, record));
    } catch (error) {
      const seq = error instanceof RegistryRefused ? error.refusal.seq : undefined;
      if (seq === undefined) throw error;
      this.#lastSeq.set(service, seq + 1);
      await client.publish(signEndpointRecord(identity, { ...record, seq: seq + 1 }));
    }
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

/** Returns the interfaces' addresses, or none where that is not permitted. One of the thin executors. */
export function interfaceAddresses(log: Log): readonly string[] {
  try {
    return Deno.networkInterfaces().map(({ address }) => address);
  } catch (error) {
    log.warn("cannot list this machine's addresses", { why: messageOf(error) });
    return [];
  }
}
