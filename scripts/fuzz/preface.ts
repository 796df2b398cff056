/** Fuzzes the preface and the answer to an unknown version. */

import { WireError } from "../../lib/wire/errors.ts";
import {
  ConnectionKind,
  decodePreface,
  decodeVersionAnswer,
  encodePreface,
  encodeVersionAnswer,
} from "../../lib/wire/preface.ts";
import { check, checkSameBytes, type FuzzTarget } from "../fuzzing.ts";

/** The preface: an accepted one is the encoding of what it says. */
export const preface: FuzzTarget = {
  name: "preface",
  errors: [WireError],
  corpus: () => [...Object.values(ConnectionKind).map(encodePreface), encodeVersionAnswer()],
  run(input) {
    const answer = decodeVersionAnswer(input);
    check("an answer has versions", answer === null || Number.isInteger(answer.min + answer.max));
    const decoded = decodePreface(input);
    if (decoded.version === "unsupported") {
      check("a known version is not unsupported", decoded.announced !== 1);
    } else checkSameBytes("decode, encode", encodePreface(decoded.kind), input);
  },
};
