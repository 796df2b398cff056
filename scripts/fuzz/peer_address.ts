/** Fuzzes what people type to name a peer: `PEER[/SERVICE][@HOST:PORT]`. */

import { fromUtf8Lossy, utf8 } from "../../lib/bytes.ts";
import { IdentityError } from "../../lib/identity/errors.ts";
import { parsePeerAddress, type PeerAddress } from "../../lib/identity/peer_address.ts";
import { serviceLabel } from "../../lib/identity/names.ts";
import { accepted, check, checkSameText, type FuzzTarget } from "../fuzzing.ts";
import { seededIdentity } from "../seeded_identity.ts";

/** Peer addresses: printed and parsed again they mean the same. */
export const peerAddress: FuzzTarget = {
  name: "peer-address",
  errors: [IdentityError],
  dictionary: ["@", "/", ":", "[", "]", "%", "::", ".", "-", "mcp/", "messages", "did:key:"]
    .concat(["z6Mk", "127.0.0.1", "0x7f", "65536", "\u202e", "\0", "É"]).map(utf8),
  corpus: () => {
    const { peerId } = seededIdentity("peer");
    return [
      peerId,
      `did:key:${peerId}`,
      `${peerId}/default@192.0.2.7:8766`,
      `${peerId.slice(0, 12)}/files`,
      "anna",
      "anna/messages",
      "Änne@[2001:db8::1]:8766",
      "build-box/mcp/tools@[fe80::1%eth0]:1",
      "bob@host.example.:65535",
      "bob@localhost",
    ].map(utf8);
  },
  run(input) {
    const once = parsePeerAddress(fromUtf8Lossy(input), 8766);
    const text = printed(once);
    const again = accepted("print, parse", () => parsePeerAddress(text));
    checkSameText("print, parse, print", printed(again), text);
    check("a host has no control characters", !/\p{Cc}/u.test(once.address?.host ?? ""));
  },
};

function printed({ peer, service, address }: PeerAddress): string {
  const who = peer.kind === "id" ? peer.id : peer.text;
  const what = service === undefined ? "" : `/${serviceLabel(service)}`;
  if (address === undefined) return who + what;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${who}${what}@${host}:${address.port}`;
}
