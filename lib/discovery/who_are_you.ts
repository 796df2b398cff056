/**
 * First contact with a registry by its address alone: *who are you?*
 *
 * The answer is not to be believed by itself. It is what the handshake that follows is run against, and
 * only a handshake that succeeds proves that the registry holds the key.
 */

import type { Bytes } from "../bytes.ts";
import { isSafeEd25519PublicKey } from "../crypto/ed25519.ts";
import { type PeerId, peerIdOf } from "../identity/peer_id.ts";
import { TransportError } from "../transport/errors.ts";
import type { Transport } from "../transport/transport.ts";
import { ConnectionKind, encodePreface, PREFACE_BYTES } from "../wire/preface.ts";
import { DiscoveryError } from "./errors.ts";

const KEY_BYTES = 32;

/** Asks at the other end of `transport`, and closes it. Throws DiscoveryError "not_a_registry". */
export async function whoAreYou(transport: Transport): Promise<PeerId> {
  using _closing = transport;
  const question = encodePreface(ConnectionKind.whoAreYou);
  try {
    await transport.write(question);
    const answer = await readExactly(transport, PREFACE_BYTES + KEY_BYTES);
    if (question.some((byte, at) => answer[at] !== byte)) throw notARegistry();
    const key = answer.slice(PREFACE_BYTES);
    if (!isSafeEd25519PublicKey(key)) throw notARegistry();
    return peerIdOf(key);
  } catch (error) {
    if (error instanceof TransportError) throw notARegistry(error);
    throw error;
  }
}

async function readExactly(transport: Transport, count: number): Promise<Bytes> {
  const bytes = new Uint8Array(count);
  for (let at = 0; at < count;) {
    const read = await transport.read(bytes.subarray(at));
    if (read === null) throw notARegistry();
    at += read;
  }
  return bytes;
}

function notARegistry(cause?: unknown): DiscoveryError {
  return new DiscoveryError("not_a_registry", "What answers there is no Talos registry", { cause });
}
