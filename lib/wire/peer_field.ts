/** A field that holds a Peer ID. */

import { parsePeerId, type PeerId } from "../identity/peer_id.ts";
import { MAX_PEER_ID_BYTES } from "../limits.ts";
import { WireError } from "./errors.ts";
import type { Fields } from "./fields.ts";

/** Returns the Peer ID in the field `name`. Throws WireError `field_invalid` where it is none. */
export function peerOf(fields: Fields, name: string): PeerId {
  const text = fields.str(name, { max: MAX_PEER_ID_BYTES });
  try {
    return parsePeerId(text);
  } catch (cause) {
    throw new WireError("field_invalid", `Cannot read ${fields.path}.${name}: it is no Peer ID`, {
      cause,
      path: `${fields.path}.${name}`,
    });
  }
}
