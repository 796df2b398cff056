/**
 * Every domain-separation string of Talos. A signature is over label ‖ 0x00 ‖ bytes, so nothing signed
 * for one purpose can be presented for another. A label that is no longer used stays listed.
 */

import { TICKET_LABEL } from "../identity/ticket.ts";

/** What a signature, a derived key or a prologue is for. */
export const Label = {
  /** Mixed into the handshake behind the preface. */
  prologue: "talos/1",
  /** The initiator's Ed25519 key over the handshake hash before its payload. */
  handshakeInitiator: "talos/1 handshake initiator",
  /** The responder's Ed25519 key over the handshake hash before its payload. */
  handshakeResponder: "talos/1 handshake responder",
  /** A peer's Ed25519 key over the bytes of an endpoint record. */
  endpointRecord: "talos/1 endpoint record",
  /** The checksum at the end of a ticket. */
  ticket: TICKET_LABEL,
  /** What names an invite, from its ticket's secret. */
  inviteId: "talos/1 invite id",
  /** The key under which a ticket's holder proves to have it, from its secret. */
  inviteKey: "talos/1 invite key",
  /** What a ticket's holder proves to have its secret by. */
  inviteProof: "talos/1 invite proof",
  /** The words that both ends of a pairing show. */
  pairingWords: "talos/1 pairing words",
} as const;
