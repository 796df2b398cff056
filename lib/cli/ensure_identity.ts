/**
 * The identity of this machine, made where there is none: for the commands with which a bare machine begins.
 *
 * It is said loudly when one is made. The key is not sealed: who wants that runs `talos init --passphrase` before.
 */

import { exists, formerHomeNotice } from "../identity/home.ts";
import { parseWalletName } from "../identity/names.ts";
import { createWallet } from "../identity/wallet.ts";
import { readWallet, saveWallet } from "../identity/wallet_file.ts";
import type { Context } from "./context.ts";
import { CliError } from "./errors.ts";
import { machineName } from "./machine_name.ts";

/**
 * Makes a wallet unless there is one, under `name` or what the system calls this machine. Throws CliError
 * where there is one of another name than `name`, and IdentityError.
 */
export async function ensureIdentity(context: Context, name?: string): Promise<void> {
  const { paths, clock, random, log } = context;
  if (!await exists(paths.wallet)) {
    const notice = await formerHomeNotice(paths).catch(() => null); // it is advice alone
    if (notice !== null) log.info(notice);
    const wallet = createWallet({ name: name ?? machineName(), now: clock.now(), random });
    await saveWallet(paths, wallet, { force: false, log });
    log.info("made an identity; back its wallet up: whoever has it is you", {
      name: wallet.name,
      peer: wallet.peerId,
      wallet: paths.wallet,
    });
    return;
  }
  if (name === undefined) return;
  const existing = (await readWallet(paths)).name;
  if (existing === parseWalletName(name)) return;
  const [asked, known] = [name, existing].map((text) => JSON.stringify(text));
  throw new CliError("usage", `Cannot call this machine ${asked}: it is called ${known} already`, {
    hints: ["leave --name out"],
  });
}
