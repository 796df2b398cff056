/**
 * The callee's side of circuits: what a serving process does when its registry says that somebody calls.
 *
 * Who is called by strangers all day has nothing from it: a caller that would be refused is declined before
 * anything is dialled, and so is what comes too often or too many at once. Who the registry says is calling
 * decides no more than that; who it really is the handshake tells, behind which everything is decided anew.
 */

import type { Clock } from "../clock.ts";
import { messageOf, TalosError } from "../errors.ts";
import type { HostPort } from "../identity/host_port.ts";
import { type PeerId, shortPeerId } from "../identity/peer_id.ts";
import type { Rate } from "../limits.ts";
import type { Log } from "../log.ts";
import { TokenBuckets } from "../session/token_buckets.ts";
import type { Transport } from "../transport/transport.ts";
import type { DeclineReason, Invitation } from "../wire/circuit.ts";
import { joinCircuit } from "./join_circuit.ts";
import type { RegistryClient } from "./registry_client.ts";

/** Who may call, and what becomes of calls. */
export interface CallTaker {
  /** Whether a caller would not be refused whatever it asks for. */
  readonly expects: (caller: PeerId) => boolean;
  /** Takes over a transport to whoever called. */
  readonly take: (transport: Transport) => void;
}

/** What answering calls takes. */
export interface RelayCallsOptions extends CallTaker {
  /** Where the registry is. */
  readonly registry: HostPort;
  /** Makes a byte stream to an address. Throws TransportError, also when `signal` aborts. */
  readonly connect: (address: HostPort, signal: AbortSignal) => Promise<Transport>;
  /** Time. */
  readonly clock: Clock;
  /** Where calls are reported. */
  readonly log: Log;
}

/** Calls of one caller that are followed: each of its sessions is one, and each attempt to resume it. */
const CALLS_OF_CALLER: Rate = { burst: 60, perMinute: 60 };

/** Legs that are being dialled at once. */
const MAX_JOINING = 64;

/** Answers the calls that come over control connections. */
export class RelayCalls implements Disposable {
  readonly #options: RelayCallsOptions;
  readonly #calls = new TokenBuckets(CALLS_OF_CALLER);
  readonly #ended = new AbortController();
  #joining = 0;

  /** Answers nothing until {@link invited} is called. */
  constructor(options: RelayCallsOptions) {
    this.#options = options;
  }

  /** Follows an invitation that came over `client`, or declines it, in the background. Never throws. */
  invited(invitation: Invitation, client: RegistryClient): void {
    const { clock, log, expects } = this.#options;
    const { caller } = invitation;
    const facts = { caller: shortPeerId(caller) };
    if (this.#ended.signal.aborted) return;
    if (!expects(caller)) {
      log.debug("call declined: this peer is not authorised for anything here", facts);
      return this.#decline(invitation, client, "declined");
    }
    if (this.#joining >= MAX_JOINING || this.#calls.take(caller, clock.monotonic()) > 0) {
      log.debug("call declined: there are too many", facts);
      return this.#decline(invitation, client, "busy");
    }
    this.#joining++;
    this.#join(invitation)
      .catch((error: unknown) => {
        const report = error instanceof TalosError ? log.debug : log.error;
        report("call not taken", { ...facts, why: messageOf(error) });
      })
      .finally(() => this.#joining--);
  }

  /** Follows no more invitations, and gives up those that are being followed. */
  [Symbol.dispose](): void {
    this.#ended.abort();
  }

  async #join(invitation: Invitation): Promise<void> {
    const { registry, connect, clock, take } = this.#options;
    const { signal } = this.#ended;
    const source = `relayed ${invitation.caller}`;
    const transport = await joinCircuit(invitation, { registry, source, connect, clock, signal });
    if (signal.aborted) transport.close();
    else take(transport);
  }

  #decline({ token }: Invitation, client: RegistryClient, reason: DeclineReason): void {
    client.decline(token, reason).catch((error: unknown) => {
      this.#options.log.debug("call not declined", { why: messageOf(error) });
    });
  }
}
