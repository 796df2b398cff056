// deno-lint-ignore-file no-console
/** A child that makes a wallet in the home it is given, once its stdin ends. Prints its Peer ID or the code. */

import { homePaths } from "../../lib/identity/home.ts";
import { createWallet } from "../../lib/identity/wallet.ts";
import { saveWallet } from "../../lib/identity/wallet_file.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import { SILENT } from "../../lib/log.ts";
import { codeOf } from "./temporary_home.ts";

if (import.meta.main) {
  const [home = ""] = Deno.args;
  const paths = homePaths(Deno.build.os, () => undefined, home);
  const wallet = createWallet({ name: "racer", now: 0, random: systemRandom });
  console.log("ready");
  for await (const _ of Deno.stdin.readable);
  let saved = false;
  const code = await codeOf(async () => {
    await saveWallet(paths, wallet, { force: false, log: SILENT });
    saved = true;
  });
  console.log(saved ? wallet.peerId : code);
}
