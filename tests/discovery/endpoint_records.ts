/** Endpoint records for tests, and a registry that knows HOST with some of them. */

import assert from "node:assert/strict";
import { DiscoveryError, type DiscoveryErrorCode } from "../../lib/discovery/errors.ts";
import { findPeer, type Whereabouts } from "../../lib/discovery/find_peer.ts";
import { mcpService, parseServerName, type ServiceName } from "../../lib/identity/names.ts";
import { type EndpointRecord, signEndpointRecord } from "../../lib/wire/endpoint_record.ts";
import { foundPeerFields } from "../../lib/wire/registry_messages.ts";
import { HOST } from "../session/peers.ts";
import { agreeable, type FakeRegistry, type Scene } from "./fake_registry.ts";

/** A service of HOST. */
export const FILES = mcpService(parseServerName("files"));

/** Another one. */
export const NOTES = mcpService(parseServerName("notes"));

/** When the clock of a scene begins, Unix time in milliseconds. */
export const NOW = 1_750_000_000_000;

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
    seq: NOW,
    issuedAt: NOW,
    ttlSeconds: 600,
    ...changes,
  };
}

/** What a registry says of HOST besides its records. */
export interface Known {
  readonly online?: boolean;
  readonly lastSeen?: number;
  /** By whom the records are signed: HOST. */
  readonly signer?: typeof HOST;
}

/** Lets the registry know HOST with these records. */
export function knows(
  registry: FakeRegistry,
  records: readonly EndpointRecord[],
  { online = true, lastSeen = NOW, signer = HOST }: Known = {},
): void {
  const signed = records.map((record) =>
    signEndpointRecord(signer, { ...record, peer: signer.peerId })
  );
  registry.answer = (request) =>
    request.op === "lookup"
      ? { result: foundPeerFields({ name: "host", online, lastSeen, records: signed }) }
      : agreeable(request);
}

/** Looks HOST up. */
export function find(
  { options }: Scene,
  service?: ServiceName,
  called?: string,
): Promise<Whereabouts> {
  return findPeer({
    ...options,
    peer: HOST.peerId,
    ...(service === undefined ? {} : { service }),
    ...(called === undefined ? {} : { called }),
  });
}

/** Waits for the failure of `work` and returns it. */
export async function failure(
  work: Promise<unknown>,
  code: DiscoveryErrorCode,
): Promise<DiscoveryError> {
  const error = await work.then(() => assert.fail("it did not fail"), (error: unknown) => error);
  assert.ok(error instanceof DiscoveryError, String(error));
  assert.equal(error.code, code, error.message);
  return error;
}
