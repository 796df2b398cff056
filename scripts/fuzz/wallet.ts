/** Fuzzes `wallet.json`. */

import { fromUtf8Lossy, utf8 } from "../../lib/bytes.ts";
import { IdentityError } from "../../lib/identity/errors.ts";
import { createWallet, LockedWallet, lockWallet } from "../../lib/identity/wallet.ts";
import { parseWallet, serialiseWallet } from "../../lib/identity/wallet_format.ts";
import { accepted, check, checkSameText, type FuzzTarget } from "../fuzzing.ts";
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

/** The text of a wallet: it says what `JSON.parse` says, and written and read again it stays as it is. */
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
    const text = fromUtf8Lossy(input);
    const wallet = parseWallet(text);
    const facts = accepted("JSON.parse", () => JSON.parse(text));
    checkSameText("the Peer ID", wallet.peerId, facts.peer_id);
    checkSameText("the name", wallet.name, facts.name);
    if (wallet instanceof LockedWallet) {
      check("the cost is a power of two", Number.isInteger(Math.log2(wallet.sealed.n)));
    }
    const once = serialiseWallet(wallet);
    const again = accepted("serialise, parse", () => serialiseWallet(parseWallet(once)));
    checkSameText("serialise, parse, serialise", again, once);
  },
};
