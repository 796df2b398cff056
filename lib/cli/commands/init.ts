/** `talos init`: makes the wallet, that is, a new identity. */

import { formerHomeNotice } from "../../identity/home.ts";
import { createWallet, lockWallet } from "../../identity/wallet.ts";
import { requireNoWallet, saveWallet } from "../../identity/wallet_file.ts";
import { type Context, interactivePassphrase } from "../context.ts";
import { SHARE_OR_USE } from "../next_steps.ts";

/** The options of `talos init`. */
export interface InitOptions {
  /** What the owner is called. */
  readonly name: string;
  /** Replace a wallet that is there, keeping it. */
  readonly force?: boolean;
  /** Seal the key under a passphrase. */
  readonly passphrase?: boolean;
}

/** Makes the wallet and prints the Peer ID. Throws IdentityError. */
export async function initCommand(context: Context, options: InitOptions): Promise<void> {
  const { output, paths, clock, random, log } = context;
  const notice = await formerHomeNotice(paths);
  if (notice !== null) output.say(notice);
  const force = options.force === true;
  if (!force) await requireNoWallet(paths); // before anybody types a passphrase for nothing
  const wallet = createWallet({ name: options.name, now: clock.now(), random });
  const stored = options.passphrase === true
    ? await lockWallet(wallet, await interactivePassphrase(context).passphrase("create", 1), random)
    : wallet;
  const { backup, renamed } = await saveWallet(paths, stored, { force, log });
  if (backup !== null) output.say(`the old wallet is kept as ${backup}`);
  for (const { from, to } of renamed) output.say(`set aside: ${from} is now ${to}`);
  output.result(
    [
      `Peer ID: ${wallet.peerId}`,
      `Wallet:  ${paths.wallet} (back it up: whoever has it is you)`,
    ].join("\n"),
    { peer_id: wallet.peerId, name: wallet.name, wallet: paths.wallet, backup },
    SHARE_OR_USE,
  );
}
