/** Fuzzes the payload of a handshake message, as if its sender had sealed anything into it. */

import { SessionError } from "../../lib/session/errors.ts";
import { decodePayload, encodePayload } from "../../lib/session/handshake_payload.ts";
import { WireError } from "../../lib/wire/errors.ts";
import { encode } from "../../lib/wire/msgpack.ts";
import { checkSameText, type FuzzTarget } from "../fuzzing.ts";
import { mutateMsgPack } from "../msgpack_mutation.ts";
import { seededIdentity } from "../seeded_identity.ts";

const SENDER = seededIdentity("sender");
const HASH = new Uint8Array(32).fill(1);

/** What somebody else who holds a valid key would put in the sender's place. */
const FORGED = encodePayload("initiator", seededIdentity("other"), HASH, { caps: [], time: 1 });

/** The handshake payload: whatever it says, it never says that somebody else sent it. */
export const handshakePayload: FuzzTarget = {
  name: "handshake-payload",
  errors: [WireError, SessionError],
  dictionary: ["min", "max", "caps", "t", "ed", "sig", "refused", "strict", "clock", "busy"]
    .map((word) => encode(word)),
  mutate: (input, random) => mutateMsgPack(random.chance(0.05) ? FORGED : input, random),
  corpus: () => [
    encodePayload("initiator", SENDER, HASH, { caps: ["a", "bb"], time: 1_750_000_000_000 }),
    encodePayload("initiator", SENDER, HASH, { caps: [], time: 0 }),
    encodePayload("initiator", SENDER, HASH, { caps: [], time: 1, refused: "clock", strict: true }),
  ],
  run(input) {
    const payload = decodePayload("initiator", input, HASH, SENDER.staticKey.publicKey);
    checkSameText("the peer", payload.peer, SENDER.peerId);
  },
};
