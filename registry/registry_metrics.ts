/** The metrics of a registry: their names, their labels and where the gauges read. */

import {
  REGISTRY_ERRORS,
  type RegistryErrorCode,
  type RegistryOp,
} from "../lib/wire/registry_messages.ts";
import type { Relay, RelayMeter, RelayRefusal } from "./relay.ts";
import type { SpliceOutcome } from "./splice.ts";
import type { ByteMeter } from "./metered_transport.ts";
import { type Counter, Metrics } from "./metrics.ts";
import type { Presence } from "./presence.ts";
import type { DirectoryStore } from "./store.ts";

/** How a connection began. */
export type Beginning =
  /** A handshake that succeeded. */
  | "ok"
  /** A handshake that failed, or was refused: altered, for another key, of another version, a replay. */
  | "failed"
  /** A handshake that was refused for a clock. */
  | "clock"
  /** A handshake that was refused for want of room. */
  | "busy"
  /** It took longer than 10 s. */
  | "timeout"
  /** The caller asked who this is, and was told. */
  | "who_are_you"
  /** A leg of a circuit, whether or not its token joined. */
  | "circuit"
  /** The caller wants something else than a registry. */
  | "other"
  /** Dropped unread: too many from there, or in all. */
  | "dropped";

const BEGINNINGS: readonly Beginning[] = [
  "ok",
  "failed",
  "clock",
  "busy",
  "timeout",
  "who_are_you",
  "circuit",
  "other",
  "dropped",
];

/** A request by its name; `unknown` for what is none, or is malformed before that. */
export type RequestKind = RegistryOp | "unknown";

/** How a request ended. */
export type RequestOutcome = "ok" | RegistryErrorCode;

const KINDS: readonly RequestKind[] = [
  "hello",
  "register",
  "publish",
  "lookup",
  "list",
  "circuit",
  "decline",
  "unknown",
];

const RELAY_REFUSALS: readonly RelayRefusal[] = [
  "quota",
  "peer_away",
  "unknown",
  "away",
  "declined",
  "busy",
  "draining",
];

const CIRCUIT_OUTCOMES: readonly SpliceOutcome[] = ["done", "broken", "idle"];

/** What the gauges read. */
export interface GaugeSources {
  /** Connections and who is online. */
  readonly presence: Presence;
  /** Registrations and records. */
  readonly store: DirectoryStore;
  /** Circuits. */
  readonly relay: () => Pick<Relay, "joined" | "waiting">;
  /** How many connections have not said hello. */
  readonly halfOpen: () => number;
  /** Whether the registry is about to end. */
  readonly isDraining: () => boolean;
  /** When the process began, Unix time in milliseconds. */
  readonly startedAt: number;
  /** The program's version. */
  readonly version: string;
}

/** What a registry counts. */
export class RegistryMetrics implements ByteMeter, RelayMeter {
  /** All of them, for whoever prints them. */
  readonly all = new Metrics();
  readonly #beginnings: Counter;
  readonly #requests: Counter;
  readonly #received: Counter;
  readonly #sent: Counter;
  readonly #refusals: Counter;
  readonly #circuits: Counter;
  readonly #relayed: Counter;

  /** Makes the counters, all 0, and the gauges. */
  constructor(sources: GaugeSources) {
    this.#beginnings = this.all.counter(
      "talos_registry_connections_total",
      "Connections by how they began.",
      BEGINNINGS.map((outcome) => ({ outcome })),
    );
    this.#requests = this.all.counter(
      "talos_registry_requests_total",
      `Requests by kind and outcome: ok, or one of ${REGISTRY_ERRORS.join(", ")}.`,
      KINDS.map((op) => ({ op, outcome: "ok" })),
    );
    this.#received = this.all.counter("talos_registry_received_bytes_total", "Bytes read.", [{}]);
    this.#sent = this.all.counter("talos_registry_sent_bytes_total", "Bytes written.", [{}]);
    this.#refusals = this.all.counter(
      "talos_relay_refusals_total",
      "Circuits, and legs of circuits, that were refused, by reason.",
      RELAY_REFUSALS.map((reason) => ({ reason })),
    );
    this.#circuits = this.all.counter(
      "talos_relay_circuits_ended_total",
      "Circuits that carried bytes and have ended, by how.",
      CIRCUIT_OUTCOMES.map((outcome) => ({ outcome })),
    );
    this.#relayed = this.all.counter("talos_relay_bytes_total", "Bytes passed on.", [{}]);
    this.#gauges(sources);
  }

  /** Counts how a connection began. */
  began(outcome: Beginning): void {
    this.#beginnings.add({ outcome });
  }

  /** Counts a request and how it ended: `ok`, or the code of its refusal. */
  answered(op: RequestKind, outcome: RequestOutcome): void {
    this.#requests.add({ op, outcome });
  }

  /** Counts bytes that came in. */
  received(count: number): void {
    this.#received.add({}, count);
  }

  /** Counts bytes that went out. */
  sent(count: number): void {
    this.#sent.add({}, count);
  }

  /** Counts a circuit, or a leg, that was refused. */
  refused(reason: RelayRefusal): void {
    this.#refusals.add({ reason });
  }

  /** Counts a circuit that has ended. */
  ended(outcome: SpliceOutcome): void {
    this.#circuits.add({ outcome });
  }

  /** Counts bytes that were passed on. */
  relayed(count: number): void {
    this.#relayed.add({}, count);
  }

  #gauges(
    { presence, relay, store, halfOpen, isDraining, startedAt, version }: GaugeSources,
  ): void {
    const gauge = this.all.gauge.bind(this.all);
    gauge("talos_registry_info", "The program.", () => 1, { version });
    gauge("talos_registry_connections", "Control connections now.", () => presence.count);
    gauge("talos_relay_circuits", "Circuits that carry bytes now.", () => relay().joined);
    gauge(
      "talos_relay_waiting_circuits",
      "Circuits that wait for a leg now.",
      () => relay().waiting,
    );
    gauge("talos_registry_half_open_connections", "Connections before HELLO now.", halfOpen);
    gauge("talos_registry_peers_online", "Peers that serve something now.", () => presence.online);
    gauge(
      "talos_registry_registrations",
      "Registered peers.",
      async () => (await store.counts()).registrations,
    );
    gauge(
      "talos_registry_records",
      "Endpoint records, expired ones included.",
      async () => (await store.counts()).records,
    );
    gauge("talos_registry_draining", "1 when it is about to end.", () => isDraining() ? 1 : 0);
    gauge("process_start_time_seconds", "When it began, Unix time.", () => startedAt / 1000);
    gauge("process_resident_memory_bytes", "Memory in use.", () => Deno.memoryUsage().rss);
  }
}
