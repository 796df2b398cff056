/** Endpoint records for tests. */

import { mcpService, parseServerName } from "../../lib/identity/names.ts";
import type { EndpointRecord } from "../../lib/wire/endpoint_record.ts";
import { HOST } from "../session/peers.ts";

/** A service of HOST. */
export const FILES = mcpService(parseServerName("files"));

/** Returns a record of HOST's service `files` as a test wants it. */
export function endpointRecord(changes: Partial<EndpointRecord> = {}): EndpointRecord {
  return {
    peer: HOST.peerId,
    service: FILES,
    name: "host",
    instance: new Uint8Array(16).fill(1),
    addresses: [{ host: "192.0.2.1", port: 8766 }],
    relays: [],
    min: 1,
    max: 1,
    seq: 1_750_000_000_000,
    issuedAt: 1_750_000_000_000,
    ttlSeconds: 600,
    ...changes,
  };
}
