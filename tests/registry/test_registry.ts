/** A registry in this process, with its memory in memory, reached over in-memory transports. */

import type { Bytes } from "../../lib/bytes.ts";
import type { Clock } from "../../lib/clock.ts";
import type { LocalIdentity } from "../../lib/identity/local_identity.ts";
import { createLog } from "../../lib/log.ts";
import { memoryPair } from "../../lib/transport/memory.ts";
import type { Transport } from "../../lib/transport/transport.ts";
import { withPath } from "../../lib/transport/with_path.ts";
import type { JoinToken } from "../../registry/join_token.ts";
import { REGISTRY_LIMITS, type RegistryLimits } from "../../registry/limits.ts";
import { Registry } from "../../registry/server.ts";
import { SqliteStore } from "../../registry/sqlite_store.ts";
import type { Store } from "../../registry/store.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { HOST } from "../session/peers.ts";
import { RawClient } from "./raw_client.ts";

/** How a registry of a test differs from the usual one. */
export interface RegistryVariant {
  readonly joinToken?: JoinToken;
  readonly limits?: Partial<RegistryLimits>;
  readonly store?: Store;
}

/** A registry of HOST. */
export class TestRegistry implements AsyncDisposable {
  readonly registry: Registry;
  readonly store: Store;
  readonly clock: Clock;
  /** What it logged, as JSON. */
  readonly logged: string[] = [];

  /** Makes one whose time is `clock`. */
  constructor(clock: Clock, { joinToken, limits, store }: RegistryVariant) {
    this.clock = clock;
    this.store = store ?? new SqliteStore(":memory:");
    this.registry = new Registry({
      identity: HOST,
      store: this.store,
      joinToken: joinToken ?? null,
      limits: { ...REGISTRY_LIMITS, ...limits },
      random: new SeededRandom("registry").bytes,
      clock,
      log: createLog({
        write: (line) => this.logged.push(line),
        level: "info",
        json: true,
        now: clock.now.bind(clock),
      }),
    });
  }

  /** Returns the caller's end of a connection, which seems to come from `from`. */
  reach(from = "192.0.2.1"): Transport {
    const [caller, callee] = memoryPair();
    this.registry.accept(seeming(callee, from));
    return caller;
  }

  /** Connects and shakes hands. */
  connect(identity: LocalIdentity, from?: string): Promise<RawClient> {
    const { clock } = this;
    const at = { port: 0, peer: HOST.peerId };
    return RawClient.connect(at, identity, { transport: this.reach(from), clock });
  }

  /** Connects and says hello. */
  async enter(
    identity: LocalIdentity,
    options: { readonly from?: string; readonly instance?: Bytes; readonly token?: string } = {},
  ): Promise<RawClient> {
    const { from, ...rest } = options;
    const at = { port: 0, peer: HOST.peerId };
    const transport = this.reach(from);
    return await RawClient.enter(at, identity, { ...rest, transport, clock: this.clock });
  }

  /** Ends the registry and its store. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.registry[Symbol.asyncDispose]();
    await this.store[Symbol.asyncDispose]();
  }
}

/** Returns a registry whose time is `clock`. */
export function registryAt(clock: Clock, variant: RegistryVariant = {}): TestRegistry {
  return new TestRegistry(clock, variant);
}

/** Returns `transport` as if it were a TCP connection from the IPv4 address `host`. */
function seeming(transport: Transport, host: string): Transport {
  return withPath(transport, { kind: "direct", remote: `${host}:50000`, source: host });
}
