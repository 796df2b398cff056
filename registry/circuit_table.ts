/**
 * The circuits that a relay has: which tokens join them, and how many each peer and each address has. Pure
 * bookkeeping; the bytes are {@link Relay}'s.
 *
 *     open() ──▶ waiting ── both tokens were taken, both legs came ──▶ joined ──▶ over
 *                   └── declined, expired, a leg left ──▶ doomed ── nobody else can come ──▶ over
 *
 * Each of the two tokens joins one leg, once. They are kept as their hashes, so looking one up tells nothing
 * about the others by how long it takes, and a dump of this process joins nothing.
 */

import { type Bytes, hex } from "../lib/bytes.ts";
import type { RandomBytes } from "../lib/crypto/random.ts";
import { sha256 } from "../lib/crypto/sha256.ts";
import type { PeerId } from "../lib/identity/peer_id.ts";
import { CIRCUIT_TOKEN_BYTES, type CircuitStatusName } from "../lib/wire/circuit.ts";
import type { RegistryLimits } from "./limits.ts";
import { isLoopbackSource, SITE_PART_OF_ALL, SITE_SHARE, siteOf } from "./site.ts";

/** One of the two peers of a circuit. */
export interface Party {
  /** Who, as its control connection proved. */
  readonly peer: PeerId;
  /** From where, as quotas count it. */
  readonly source: string;
}

/** Which end of a circuit. */
export type Role = "caller" | "callee";

/** Between whom a circuit is. */
export type Parties = Readonly<Record<Role, Party>>;

/** A circuit, as far as tokens and quotas are concerned. */
export interface Circuit {
  /** Between whom. */
  readonly parties: Parties;
  /** Why it cannot be joined any more; null while it can, or is. */
  doom: Exclude<CircuitStatusName, "joined"> | null;
}

/** A circuit that was just opened, and what its legs join it with. */
export interface OpenedCircuit {
  /** The circuit. */
  readonly circuit: Circuit;
  /** A token of {@link CIRCUIT_TOKEN_BYTES} for each leg. */
  readonly tokens: Readonly<Record<Role, Bytes>>;
}

/** A leg that a token stands for. */
export interface Ticket {
  /** The circuit. */
  readonly circuit: Circuit;
  /** Which end of it. */
  readonly role: Role;
}

/** All circuits of one relay. */
export class CircuitTable {
  readonly #limits: RegistryLimits;
  readonly #random: RandomBytes;
  readonly #tickets = new Map<string, Ticket>();
  /** The hashes of the tokens of each circuit that nobody has used. */
  readonly #circuits = new Map<Circuit, Set<string>>();
  readonly #perPeer = new Map<string, number>();
  readonly #perPlace = new Map<string, number>();

  /** Makes a table without circuits. */
  constructor(limits: RegistryLimits, random: RandomBytes) {
    this.#limits = limits;
    this.#random = random;
  }

  /** How many circuits there are, joined or not. */
  get count(): number {
    return this.#circuits.size;
  }

  /** Returns whose bound keeps a circuit from being opened, for a sentence; null when there is room. */
  fullFor({ caller, callee }: Parties): string | null {
    const { circuits, circuitsPerPeer, circuitsPerSource } = this.#limits;
    if (this.count >= circuits) return `the relay carries ${circuits} circuits`;
    const has = `has ${circuitsPerPeer} circuits`;
    if (tallied(this.#perPeer, caller.peer) >= circuitsPerPeer) return `this peer ${has}`;
    if (tallied(this.#perPeer, callee.peer) >= circuitsPerPeer) return `the peer called ${has}`;
    const part = SITE_PART_OF_ALL * circuits;
    const perSource = isLoopbackSource(caller.source) ? part : circuitsPerSource;
    const site = siteOf(caller.source);
    const isFull = tallied(this.#perPlace, caller.source) >= perSource ||
      (site !== null &&
        tallied(this.#perPlace, site) >= Math.min(SITE_SHARE * circuitsPerSource, part));
    return isFull ? "this address has as many circuits as it may" : null;
  }

  /** Opens a circuit, whether or not there is room for it. */
  open(parties: Parties): OpenedCircuit {
    const circuit: Circuit = { parties, doom: null };
    const tokens = { caller: this.#token(), callee: this.#token() };
    const unused = new Set<string>();
    for (const role of ["caller", "callee"] as const) {
      const key = keyOf(tokens[role]);
      unused.add(key);
      this.#tickets.set(key, { circuit, role });
    }
    this.#circuits.set(circuit, unused);
    this.#tally(parties, 1);
    return { circuit, tokens };
  }

  /** Returns the leg that `token` stands for, and forgets the token; null for one that is none. */
  take(token: Bytes): Ticket | null {
    const key = keyOf(token);
    const ticket = this.#tickets.get(key);
    if (ticket === undefined) return null;
    this.#tickets.delete(key);
    this.#circuits.get(ticket.circuit)?.delete(key);
    return ticket;
  }

  /** Returns the circuit to which `token` is the callee's, if the callee is `peer`; else null. */
  calling(token: Bytes, peer: PeerId): Circuit | null {
    const ticket = this.#tickets.get(keyOf(token));
    if (ticket?.role !== "callee") return null;
    return ticket.circuit.parties.callee.peer === peer ? ticket.circuit : null;
  }

  /** Forgets a circuit and its tokens. Does nothing when that was done before. */
  remove(circuit: Circuit): void {
    const unused = this.#circuits.get(circuit);
    if (unused === undefined) return;
    for (const key of unused) this.#tickets.delete(key);
    this.#circuits.delete(circuit);
    this.#tally(circuit.parties, -1);
  }

  #token(): Bytes {
    return this.#random(CIRCUIT_TOKEN_BYTES);
  }

  #tally({ caller, callee }: Parties, change: 1 | -1): void {
    tally(this.#perPeer, caller.peer, change);
    if (callee.peer !== caller.peer) tally(this.#perPeer, callee.peer, change);
    tally(this.#perPlace, caller.source, change);
    const site = siteOf(caller.source);
    if (site !== null) tally(this.#perPlace, site, change);
  }
}

function keyOf(token: Bytes): string {
  return hex(sha256(token));
}

function tallied(counts: ReadonlyMap<string, number>, key: string): number {
  return counts.get(key) ?? 0;
}

function tally(counts: Map<string, number>, key: string, change: 1 | -1): void {
  const count = tallied(counts, key) + change;
  if (count === 0) counts.delete(key);
  else counts.set(key, count);
}
