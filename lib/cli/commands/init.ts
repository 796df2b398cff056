/** `talos init`: makes the wallet, that is, a new identity. */

import { formerHomeNotice } from "../../identity/home.ts";
import { createWallet, lockWallet } from "../../identity/wallet.ts";
import { saveWallet } from "../../identity/wallet_file.ts";
import { type Context, interactivePassphrase } from "../context.ts";

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
  const wallet = createWallet({ name: options.name, now: clock.now(), random });
  const stored = options.passphrase === true
    ? await lockWallet(wallet, await interactivePassphrase(context).passphrase("create", 1), random)
    : wallet;
  const saved = await saveWallet(paths, stored, { force: options.force === true, log });
  if (saved.backup !== null) output.say(`the old wallet is kept as ${saved.backup}`);
  for (const { from, to } of saved.renamed) output.say(`set aside: ${from} is now ${to}`);
  output.result(
    [
      `Peer ID: ${wallet.peerId}`,
      `Wallet:  ${paths.wallet} (back it up; whoever has it is you)`,
    ].join("\n"),
    { peer_id: wallet.peerId, name: wallet.name, wallet: paths.wallet },
  );
  if (output.json) return;
  output.line('next, share an MCP server:  talos mcp-serve --authorized-peer <ID> --command "…"');
  output.line("or use one:                 talos mcp-connect <HOST-ID>@<HOST>:8766");
}
