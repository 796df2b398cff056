/**
 * The relay: two peers that cannot reach each other both reach the registry, which passes their bytes on.
 *
 *     caller ── circuit ──▶ registry ── invite ──▶ callee       over their control connections
 *     caller ── leg ──▶ node ◀── leg ── callee                  each with a token of its own
 *
 * What passes is the peers' own handshake and what it protects: the relay learns who talks to whom, when and
 * how much. It holds one buffer for each direction of a circuit and slows down who sends more than he may.
 * Circuits are bounded in all, per peer and per address; one that is not joined in time, or silent for a
 * minute, ends. When the registry stops, circuits are cut: the sessions in them resume elsewhere, or here.
 */

import type { Bytes } from "../lib/bytes.ts";
import { type Clock, within } from "../lib/clock.ts";
import type { RandomBytes } from "../lib/crypto/random.ts";
import type { ServiceName } from "../lib/identity/names.ts";
import { type PeerId, shortPeerId } from "../lib/identity/peer_id.ts";
import { STRANGER_BYTES } from "../lib/limits.ts";
import type { Log } from "../lib/log.ts";
import type { Transport } from "../lib/transport/transport.ts";
import {
  CIRCUIT_TOKEN_BYTES,
  type CircuitLeg,
  CircuitStatus,
  type CircuitStatusName,
  type DeclineReason,
  REGISTRY_NODE,
} from "../lib/wire/circuit.ts";
import {
  type Circuit,
  CircuitTable,
  type Parties,
  type Party,
  type Role,
} from "./circuit_table.ts";
import { requireQuota } from "./directory.ts";
import { RequestRefused } from "./errors.ts";
import {
  CIRCUIT_IDLE_MS,
  CIRCUIT_JOIN_TIMEOUT_MS,
  CIRCUIT_TOKEN_LIFE_MS,
  FAREWELL_MS,
  type RegistryLimits,
} from "./limits.ts";
import type { Presence } from "./presence.ts";
import { RelayQuotas } from "./relay_quotas.ts";
import { splice, SpliceEnd, type SpliceOutcome } from "./splice.ts";

/** Why a circuit was refused, or a leg. */
export type RelayRefusal = "quota" | "peer_away" | Exclude<CircuitStatusName, "joined">;

/** Learns what a relay does. */
export interface RelayMeter {
  /** A circuit, or a leg, was refused. */
  refused(why: RelayRefusal): void;
  /** A circuit that was joined has ended. */
  ended(outcome: SpliceOutcome): void;
  /** Bytes have passed. */
  relayed(count: number): void;
}

/** What a relay works with. */
export interface RelayOptions {
  /** Who can be called. */
  readonly presence: Presence;
  /** Its bounds. */
  readonly limits: RegistryLimits;
  /** Randomness for tokens. */
  readonly random: RandomBytes;
  /** Time. */
  readonly clock: Clock;
  /** Where circuits are reported. */
  readonly log: Log;
  /** Counts. */
  readonly meter: RelayMeter;
}

/** A circuit that is not over. */
interface Run {
  readonly circuit: Circuit;
  readonly legs: Map<Role, SpliceEnd>;
  /** Ends the waiting for legs. */
  readonly timers: DisposableStack;
  /** Resolves when the circuit is over, or doomed. */
  readonly over: PromiseWithResolvers<void>;
}

/** Opens circuits and passes their bytes on. */
export class Relay implements AsyncDisposable {
  readonly #options: RelayOptions;
  readonly #table: CircuitTable;
  readonly #quotas: RelayQuotas;
  readonly #runs = new Map<Circuit, Run>();
  readonly #running = new Set<Promise<void>>();
  #joined = 0;
  #draining = false;

  /** Makes a relay without circuits. */
  constructor(options: RelayOptions) {
    this.#options = options;
    this.#table = new CircuitTable(options.limits, options.random);
    this.#quotas = new RelayQuotas(options.clock, options.limits);
  }

  /** How many circuits carry bytes now. */
  get joined(): number {
    return this.#joined;
  }

  /** How many circuits wait for a leg. */
  get waiting(): number {
    return this.#table.count - this.#joined;
  }

  /**
   * Opens a circuit and invites the callee: of its processes that serve `service`, or anything, the one that
   * published last. Returns the caller's leg. Throws RequestRefused `peer_away`, `quota`.
   */
  open(caller: Party, peer: PeerId, service?: ServiceName): CircuitLeg {
    const { presence, meter, clock } = this.#options;
    try {
      const client = this.#draining ? null : presence.serving(peer, service);
      if (client === null) {
        throw new RequestRefused(
          "peer_away",
          "no process of this peer that serves this is connected",
        );
      }
      const parties: Parties = { caller, callee: { peer, source: client.source } };
      const full = this.#table.fullFor(parties);
      if (full !== null) throw new RequestRefused("quota", `${full}: try again later`);
      requireQuota(this.#quotas.invite(parties));
      const { circuit, tokens } = this.#table.open(parties);
      const node = REGISTRY_NODE; // the only one so far
      const run: Run = {
        circuit,
        legs: new Map(),
        timers: new DisposableStack(),
        over: Promise.withResolvers(),
      };
      this.#runs.set(circuit, run);
      run.timers.use(clock.after(CIRCUIT_TOKEN_LIFE_MS, () => {
        this.#doom(run, "away");
        this.#forget(run);
      }));
      if (!client.invite({ caller: caller.peer, token: tokens.callee, node })) {
        this.#forget(run);
        throw new RequestRefused("peer_away", "the process of this peer does not listen now");
      }
      return { token: tokens.caller, node };
    } catch (error) {
      if (error instanceof RequestRefused) {
        meter.refused(error.code === "peer_away" ? "peer_away" : "quota");
      }
      throw error;
    }
  }

  /** Notes that a callee does not follow an invitation. Unknown tokens, and those of others, are passed over. */
  decline(peer: PeerId, token: Bytes, reason: DeclineReason): void {
    const circuit = this.#table.calling(token, peer);
    const run = circuit === null ? undefined : this.#runs.get(circuit);
    if (run !== undefined) this.#doom(run, reason);
  }

  /**
   * Takes a leg whose preface was read, and passes its bytes on. Resolves when it is over; the transport is
   * to be closed then. `admitted` is called once its token has proved that it is expected.
   */
  async join(transport: Transport, admitted: () => void): Promise<void> {
    const token = await readToken(transport);
    if (token === null) return;
    const ticket = this.#table.take(token);
    const run = ticket === null ? undefined : this.#runs.get(ticket.circuit);
    const gone = () => drained(transport);
    if (ticket === null || run === undefined) return await this.#refuse(transport, "unknown", gone);
    const { circuit, role } = ticket;
    if (circuit.doom !== null) {
      if (role === "caller") this.#forget(run);
      return await this.#refuse(transport, circuit.doom, gone);
    }
    admitted();
    const end = new SpliceEnd(transport);
    run.legs.set(role, end);
    if (run.legs.size === 2) this.#begin(run);
    else this.#await(run, end);
    await run.over.promise;
    const isJoined = run.legs.size === 2;
    if (circuit.doom !== null && !isJoined) {
      await this.#refuse(transport, circuit.doom, () => end.left);
    }
  }

  /** Ends every circuit. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#draining = true;
    for (const run of [...this.#runs.values()]) this.#doom(run, "draining");
    await Promise.all(this.#running);
  }

  /** One leg is here: it waits for the other, not for long. */
  #await(run: Run, end: SpliceEnd): void {
    const { clock } = this.#options;
    run.timers.use(clock.after(CIRCUIT_JOIN_TIMEOUT_MS, () => this.#doom(run, "away")));
    void end.left.then(() => {
      if (run.legs.size < 2) this.#doom(run, "away");
    });
  }

  #begin(run: Run): void {
    const running = this.#carry(run).finally(() => this.#running.delete(running));
    this.#running.add(running);
  }

  async #carry(run: Run): Promise<void> {
    const { clock, log, meter } = this.#options;
    const { circuit: { parties }, legs, timers, over } = run;
    const [caller, callee] = [legs.get("caller"), legs.get("callee")];
    if (caller === undefined || callee === undefined) throw new TypeError("A leg is missing");
    timers.dispose();
    this.#joined++;
    const beganAt = clock.monotonic();
    const facts = {
      caller: shortPeerId(parties.caller.peer),
      callee: shortPeerId(parties.callee.peer),
    };
    log.debug("circuit joined", facts);
    let bytes = 0;
    const joined = Uint8Array.of(CircuitStatus.joined);
    try {
      await Promise.all([caller.transport.write(joined), callee.transport.write(joined.slice())]);
      const outcome = await splice(caller, callee, {
        idleMs: CIRCUIT_IDLE_MS,
        clock,
        admit: (count) => this.#admit(run, count),
        passed: (count) => {
          bytes += count;
          meter.relayed(count);
        },
      });
      meter.ended(outcome);
      const seconds = ((clock.monotonic() - beganAt) / 1000).toFixed(1);
      log.debug("circuit ended", { ...facts, outcome, bytes, seconds });
    } catch {
      meter.ended("broken"); // a leg left before it heard that it was joined
    } finally {
      caller.transport.close();
      callee.transport.close();
      this.#joined--;
      this.#forget(run);
      over.resolve();
    }
  }

  /** Returns what to wait for before so many bytes may pass, or null. */
  #admit(run: Run, count: number): Promise<void> | null {
    const wait = this.#quotas.bytes(run.circuit.parties, count);
    return wait === 0 ? null : this.#slowDown(run, count, wait);
  }

  async #slowDown(run: Run, count: number, firstWaitMs: number): Promise<void> {
    const { clock } = this.#options;
    for (let waitMs = firstWaitMs; waitMs > 0;) {
      if (run.circuit.doom !== null) return;
      await within(clock, waitMs, run.over.promise, undefined);
      waitMs = this.#quotas.bytes(run.circuit.parties, count);
    }
  }

  /** The circuit cannot be joined any more, or is cut. Its legs are told; a caller that comes later, too. */
  #doom(run: Run, why: Exclude<CircuitStatusName, "joined">): void {
    const { circuit, legs, over } = run;
    if (circuit.doom !== null) return;
    circuit.doom = why;
    over.resolve();
    if (legs.size === 2) { // it is cut, and forgotten when that is done
      for (const { transport } of legs.values()) transport.close();
    } else if (legs.has("caller") || why === "draining") {
      this.#forget(run);
    } // else the caller may still come
  }

  #forget(run: Run): void {
    run.timers.dispose();
    this.#table.remove(run.circuit);
    this.#runs.delete(run.circuit);
  }

  /** Tells a leg why it does not join, and waits for it to hang up: closing at once could destroy the answer. */
  async #refuse(
    transport: Transport,
    why: Exclude<CircuitStatusName, "joined">,
    gone: () => Promise<void>,
  ): Promise<void> {
    const { meter, clock } = this.#options;
    meter.refused(why);
    try {
      await transport.write(Uint8Array.of(CircuitStatus[why]));
      await transport.closeWrite();
      await within(clock, FAREWELL_MS, gone(), undefined);
    } catch {
      // it has left
    }
  }
}

async function readToken(transport: Transport): Promise<Bytes | null> {
  const token: Bytes = new Uint8Array(CIRCUIT_TOKEN_BYTES);
  for (let at = 0; at < CIRCUIT_TOKEN_BYTES;) {
    const count = await transport.read(token.subarray(at));
    if (count === null) return null;
    at += count;
  }
  return token;
}

async function drained(transport: Transport): Promise<void> {
  const buffer: Bytes = new Uint8Array(1024);
  try {
    for (let left = STRANGER_BYTES; left > 0;) {
      const count = await transport.read(buffer);
      if (count === null) return;
      left -= count;
    }
  } catch {
    // it has left
  }
}
