/** Fuzzes `wallet.json`. */

import { fromUtf8Lossy, utf8 } from "../../lib/bytes.ts";
import { IdentityError } from "../../lib/identity/errors.ts";
import { createWallet, lockWallet } from "../../lib/identity/wallet.ts";
import { parseWallet, serialiseWallet } from "../../lib/identity/wallet_format.ts";
import { accepted, checkSameText, type FuzzTarget } from "../fuzzing.ts";
import { mutateJson } from "../json_mutation.ts";
import { SeededRandom } from "../seeded_random.ts";

const NAMES = [
  "version",
  "name",
  "peer_id",
  "created_at",
  "secret_key",
  "kdf",
  "n",
  "r",
  "p",
  "salt",
];

/** The text of a wallet: written and read again it stays as it is. */
export const wallet: FuzzTarget = {
  name: "wallet",
  errors: [IdentityError],
  dictionary: ["{", "}", "[", ",", ":", "null", "2", "1e3", "-0", '""', "\\u0000", "\\ud800", "="]
    .concat(['"__proto__":{}', '"version":1,', "\ufeff", "\0"]).map(utf8),
  mutate: (input, random) => mutateJson(input, random, NAMES),
  corpus: async () => {
    const random = new SeededRandom("wallet");
    const open = createWallet({
      name: "Ops/Anna Müller",
      now: 1_750_000_000_000,
      random: random.bytes,
    });
    const locked = await lockWallet(open, "passphrase", random.bytes, 2);
    const spaced = JSON.stringify(JSON.parse(serialiseWallet(locked)), null, 2);
    return [serialiseWallet(open), serialiseWallet(locked), spaced].map(utf8);
  },
  run(input) {
    const once = serialiseWallet(parseWallet(fromUtf8Lossy(input)));
    const again = accepted("serialise, parse", () => serialiseWallet(parseWallet(once)));
    checkSameText("serialise, parse, serialise", again, once);
  },
};
