/** Publishes an endpoint record as no process of today would do: an old one, or one with dead addresses. */

import { systemClock } from "../../lib/clock.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import { parseRegistryAddress } from "../../lib/discovery/registry_address.ts";
import { RegistryClient } from "../../lib/discovery/registry_client.ts";
import { Database } from "../../lib/identity/database.ts";
import type { HomePaths } from "../../lib/identity/home.ts";
import { parseHostPort } from "../../lib/identity/host_port.ts";
import { LocalIdentity } from "../../lib/identity/local_identity.ts";
import { mcpService, parseServerName } from "../../lib/identity/names.ts";
import { NO_PASSPHRASE } from "../../lib/identity/passphrase.ts";
import { loadWallet } from "../../lib/identity/wallet_file.ts";
import { SILENT } from "../../lib/log.ts";
import { connectTcp } from "../../lib/transport/tcp.ts";
import { signEndpointRecord } from "../../lib/wire/endpoint_record.ts";
import { SUPPORTED_VERSIONS } from "../../lib/wire/preface.ts";

/** What to publish. */
export interface OldRecord {
  /** The home of the host. */
  readonly paths: HomePaths;
  /** Where the registry is. */
  readonly registry: string;
  /** The service, as people type it. */
  readonly service: string;
  /** Where it is said to be, best first. */
  readonly addresses: readonly string[];
  /** When that is said to have been published, Unix time in milliseconds. */
  readonly at: number;
}

/** Registers the host and publishes the record. */
export async function publishOldRecord(old: OldRecord): Promise<void> {
  const wallet = await loadWallet(old.paths, NO_PASSPHRASE);
  const identity = new LocalIdentity(wallet.secretKey);
  using database = new Database(old.paths, identity.peerId);
  const instance = systemRandom(16);
  await using client = await RegistryClient.connect({
    address: parseRegistryAddress(old.registry),
    identity,
    instance,
    database,
    random: systemRandom,
    clock: systemClock,
    log: SILENT,
    connect: connectTcp,
  });
  await client.register(wallet.name, false);
  await client.publish(signEndpointRecord(identity, {
    peer: identity.peerId,
    service: mcpService(parseServerName(old.service)),
    name: wallet.name,
    instance,
    addresses: old.addresses.map((address) => parseHostPort(address)),
    relays: [],
    ...SUPPORTED_VERSIONS,
    seq: old.at,
    issuedAt: old.at,
    ttlSeconds: 600,
  }));
}
