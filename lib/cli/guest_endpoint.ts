/**
 * Where a service is, as its host tells somebody whom it lets in: an endpoint record like those of registries,
 * so that the guest finds the host where there is no registry, or while none answers.
 */

import type { Bytes } from "../bytes.ts";
import { publishedAddresses } from "../discovery/local_addresses.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import type { ServiceName } from "../identity/names.ts";
import { interfaceAddresses } from "../identity/network_interfaces.ts";
import { MAX_ENDPOINT_TTL_S } from "../limits.ts";
import { type SignedEndpointRecord, signEndpointRecord } from "../wire/endpoint_record.ts";
import { PROTOCOL_VERSION } from "../wire/preface.ts";
import type { Context } from "./context.ts";

/** Where a process listens. */
export interface HostPlace {
  /** The port; 0 where it listens nowhere. */
  readonly port: number;
  /** The address, if it is not all of them. */
  readonly host?: string;
}

/** What is served, by whom. */
export interface ServedHere extends HostPlace {
  /** Who we are. */
  readonly identity: LocalIdentity;
  /** What we call ourselves. */
  readonly name: string;
  /** Names this process. */
  readonly instance: Bytes;
  /** The service. */
  readonly service: ServiceName;
}

/** What every record that is published is newer than: a guest prefers what a registry knows. */
const OLDEST = 1;

/** Returns the signed record. */
export function guestEndpoint(
  { identity, name, instance, service, port, host }: ServedHere,
  { clock, log }: Pick<Context, "clock" | "log">,
): SignedEndpointRecord {
  const isAll = host === undefined || host === "0.0.0.0" || host === "::";
  const facts = {
    interfaces: interfaceAddresses(log).map(({ address }) => address),
    registryIsLocal: false,
    ...(isAll ? {} : { listenHost: host }),
  };
  return signEndpointRecord(identity, {
    peer: identity.peerId,
    service,
    name,
    instance,
    addresses: port === 0 ? [] : publishedAddresses(facts, port),
    relays: [],
    min: PROTOCOL_VERSION,
    max: PROTOCOL_VERSION,
    seq: OLDEST,
    issuedAt: clock.now(),
    ttlSeconds: MAX_ENDPOINT_TTL_S,
  });
}
