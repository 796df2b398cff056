/** Fuzzes Peer IDs. */

import { fromUtf8Lossy, utf8 } from "../../lib/bytes.ts";
import { IdentityError } from "../../lib/identity/errors.ts";
import { DID_KEY_PREFIX, parsePeerId, peerIdOf, publicKeyOf } from "../../lib/identity/peer_id.ts";
import { accepted, checkSameText, type FuzzTarget } from "../fuzzing.ts";
import { seededIdentity } from "../seeded_identity.ts";

/** Peer IDs: one text per key, with `did:key:` ahead or not. */
export const peerId: FuzzTarget = {
  name: "peer-id",
  errors: [IdentityError],
  dictionary: [DID_KEY_PREFIX, "z6Mk", "z", "1", "0", "O", "I", "l"].map(utf8),
  corpus: () =>
    Array.from({ length: 8 }, (_, i) => {
      const id = seededIdentity(`peer ${i}`).peerId;
      return utf8(i % 2 === 0 ? id : DID_KEY_PREFIX + id);
    }),
  run(input) {
    const text = fromUtf8Lossy(input);
    const id = parsePeerId(text);
    const bare = text.startsWith(DID_KEY_PREFIX) ? text.slice(DID_KEY_PREFIX.length) : text;
    checkSameText("parse", id, bare);
    const again = accepted("to key and back", () => peerIdOf(publicKeyOf(id)));
    checkSameText("to key and back", again, id);
  },
};
