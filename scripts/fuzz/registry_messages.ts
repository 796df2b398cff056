/** Fuzzes what a peer and a registry say to each other on a control connection, frame and all. */

import type { Bytes } from "../../lib/bytes.ts";
import { decodeReason, encodeReason } from "../../lib/session/bodies.ts";
import { WireError } from "../../lib/wire/errors.ts";
import { encodePing, INSTANCE_BYTES } from "../../lib/wire/frames.ts";
import { encode } from "../../lib/wire/msgpack.ts";
import {
  decodeRegistryFrame,
  encodeRegistryFrame,
  type RegistryFrameName,
} from "../../lib/wire/registry_frames.ts";
import {
  decodeRequest,
  decodeResponse,
  encodeRefusal,
  encodeRequest,
  encodeResponse,
  foundPeerFields,
  foundPeerOf,
  helloResponseOf,
  peerPageFields,
  peerPageOf,
  type RegistryRequest,
  requestIdOf,
} from "../../lib/wire/registry_messages.ts";
import { accepted, check, checkSameBytes, type FuzzTarget } from "../fuzzing.ts";
import { mutateMsgPack } from "../msgpack_mutation.ts";
import { seededIdentity } from "../seeded_identity.ts";

const { peerId: PEER } = seededIdentity("fuzzed peer");
const INSTANCE = new Uint8Array(INSTANCE_BYTES).fill(7);
const SIGNED = { record: new Uint8Array(200).fill(1), signature: new Uint8Array(64).fill(2) };

const REQUESTS: readonly RegistryRequest[] = [
  { op: "hello", instance: INSTANCE, token: "correct-horse-battery-staple" },
  { op: "register", name: "Änna 😀", unlisted: false },
  { op: "publish", ...SIGNED },
  { op: "lookup", peer: PEER, service: "mcp/default" },
  { op: "list", after: PEER, limit: 100 },
];

const FOUND = { name: "Anna", online: true, lastSeen: 1_750_000_000_000, records: [SIGNED] };
const LISTED = { peer: PEER, name: "Ben", online: false, lastSeen: 5, services: ["mcp/a", "b"] };
const RESPONSES = [
  encodeResponse(1, { observed: "192.0.2.7", time: 1_750_000_000_000 }),
  encodeResponse(2, foundPeerFields(FOUND)),
  encodeResponse(3, foundPeerFields(null)),
  encodeResponse(4, peerPageFields({ peers: [LISTED, LISTED], next: PEER })),
  encodeResponse(5, { seq: 7 }),
  encodeRefusal(6, { code: "stale", reason: "too old", seq: 9 }),
];

/** Requests, responses and events: written and read again they stay as they are. */
export const registryMessages: FuzzTarget = {
  name: "registry_messages",
  errors: [WireError],
  dictionary: [
    "id",
    "op",
    "error",
    "code",
    "reason",
    "found",
    "peers",
    "records",
    "next",
    "x",
    PEER,
  ]
    .map((word) => encode(word)),
  mutate: (input, random) => mutateMsgPack(input, random, 1),
  corpus: () => [
    ...REQUESTS.map((request) => encodeRegistryFrame("request", encodeRequest(7, request))),
    ...RESPONSES.map((body) => encodeRegistryFrame("response", body)),
    encodeRegistryFrame("event", encode({ event: "invited" })),
    encodePing("ping", 7),
    encodeReason("close", { code: "draining", reason: "the registry is being stopped" }),
  ],
  run(input) {
    const written = rewrite(input);
    if (written === null) return;
    const again = accepted("write, read, write", () => rewrite(written));
    checkSameBytes("write, read, write", again ?? new Uint8Array(0), written);
  },
};

/** Returns the frame that says what `input` says, or null where it has no body to read. */
function rewrite(input: Bytes): Bytes | null {
  const frame = decodeRegistryFrame(input);
  switch (frame.type) {
    case "request":
      return rewritten("request", rewriteRequest(frame.body));
    case "response":
      return rewritten("response", rewriteResponse(frame.body));
    case "close": {
      const reason = decodeReason("close", frame.body);
      return accepted("write CLOSE", () => encodeReason("close", reason));
    }
    default:
      return null;
  }
}

function rewritten(name: RegistryFrameName, body: Bytes | null): Bytes | null {
  return body === null ? null : accepted(`write ${name}`, () => encodeRegistryFrame(name, body));
}

function rewriteRequest(body: Bytes): Bytes {
  const answerTo = requestIdOf(body);
  const { id, request } = decodeRequest(body);
  check("a request that is read can be answered", answerTo === id);
  return accepted("write request", () => encodeRequest(id, request));
}

function rewriteResponse(body: Bytes): Bytes | null {
  const { id, refused, fields } = decodeResponse(body);
  if (refused !== undefined) return accepted("write refusal", () => encodeRefusal(id, refused));
  if (fields.has("observed")) {
    const { observed, time } = helloResponseOf(fields);
    return accepted("write hello", () => encodeResponse(id, { observed, time }));
  }
  if (fields.has("found")) {
    const found = foundPeerOf(fields);
    if (hasReplaced(found?.name ?? "")) return null;
    return accepted("write found", () => encodeResponse(id, foundPeerFields(found)));
  }
  if (fields.has("peers")) {
    const page = peerPageOf(fields);
    const texts = page.peers.flatMap(({ name, services }) => [name, ...services]);
    if (texts.some(hasReplaced)) return null;
    return accepted("write page", () => encodeResponse(id, peerPageFields(page)));
  }
  return null;
}

/** Whether a text lost characters: what stands in their place may make it longer than it may be. */
function hasReplaced(text: string): boolean {
  return text.includes("\ufffd");
}
