/** Fuzzes what is said on `talos/join`, by a stranger and by a host: written and read again it stays as it is. */

import type { Bytes } from "../../lib/bytes.ts";
import { parseServiceName } from "../../lib/identity/names.ts";
import { SessionError } from "../../lib/session/errors.ts";
import {
  decodeAnswer,
  decodeJoin,
  encodeAnswer,
  encodeJoin,
  JOIN_REFUSALS,
  type JoinAnswer,
} from "../../lib/session/join.ts";
import { WireError } from "../../lib/wire/errors.ts";
import { encode } from "../../lib/wire/msgpack.ts";
import { accepted, check, checkSameBytes, type FuzzTarget } from "../fuzzing.ts";
import { mutateMsgPack } from "../msgpack_mutation.ts";

const JOIN = encodeJoin({
  invite: "invite-0123456789ab",
  proof: new Uint8Array(32).fill(7),
  name: "Änna",
});

const JOINED = {
  name: "Linux Box",
  service: parseServiceName("mcp/default"),
  called: "anna",
  endpoint: { record: new Uint8Array(200).fill(1), signature: new Uint8Array(64).fill(2) },
};

const ANSWERS: readonly JoinAnswer[] = [
  { joined: JOINED },
  { refused: "invite_used", reason: "the ticket was used already" },
];

/** The messages of both sides. */
export const joinMessages: FuzzTarget = {
  name: "join_messages",
  errors: [WireError, SessionError],
  dictionary: ["invite", "proof", "name", "service", "called", "error", "code", ...JOIN_REFUSALS]
    .map((word) => encode(word)),
  mutate: (input, random) => mutateMsgPack(input, random),
  corpus: () => [JOIN, ...ANSWERS.map(encodeAnswer)],
  run(input) {
    const asJoin = outcome(() => encodeJoin(decodeJoin(input)));
    const asAnswer = outcome(() => encodeAnswer(decodeAnswer(input)));
    if (asJoin === null && asAnswer === null) decodeJoin(input);
    if (asJoin !== null) same("JOIN", asJoin, (bytes) => encodeJoin(decodeJoin(bytes)));
    if (asAnswer !== null) same("JOINED", asAnswer, (bytes) => encodeAnswer(decodeAnswer(bytes)));
  },
};

/** Returns the bytes, or null for what is refused as it should be. */
function outcome(read: () => Bytes): Bytes | null {
  try {
    return read();
  } catch (error) {
    check("it is refused in order", error instanceof WireError || error instanceof SessionError);
    return null;
  }
}

/** A name that lost characters may be longer than it may be: what stands in their place is. */
function same(what: string, written: Bytes, again: (bytes: Bytes) => Bytes): void {
  if (new TextDecoder().decode(written).includes("\ufffd")) return;
  checkSameBytes(what, accepted(`read ${what} again`, () => again(written)), written);
}
