/**
 * What every command gets from the outside: the home, the terminal, time, randomness, the environment.
 */

import { type Clock, systemClock } from "../clock.ts";
import { type RandomBytes, systemRandom } from "../crypto/random.ts";
import { type Environment, type HomePaths, homePaths } from "../identity/home.ts";
import { LocalIdentity } from "../identity/local_identity.ts";
import { type PassphraseSource, passphraseSource } from "../identity/passphrase.ts";
import { settleState } from "../identity/set_aside.ts";
import { SYSTEM_TERMINAL } from "../identity/terminal.ts";
import type { Wallet } from "../identity/wallet.ts";
import { loadWallet } from "../identity/wallet_file.ts";
import { createLog, type Log } from "../log.ts";
import { Output } from "./output.ts";

/** The options that every command has. */
export interface GlobalOptions {
  /** The home, instead of `$TALOS_HOME` or `~/.talos`. */
  readonly home?: string;
  /** Results, events and errors as JSON. */
  readonly json?: boolean;
  /** Debug lines too. */
  readonly verbose?: boolean;
}

/** What a command works with. */
export interface Context {
  /** Results and messages. */
  readonly output: Output;
  /** Events, on stderr. */
  readonly log: Log;
  /** Where the identity's files lie. */
  readonly paths: HomePaths;
  /** Time. */
  readonly clock: Clock;
  /** Randomness. */
  readonly random: RandomBytes;
  /** The environment. */
  readonly env: Environment;
  /** The system, as in `Deno.build.os`. */
  readonly os: typeof Deno.build.os;
}

/** Returns the context of this process. */
export function systemContext(options: GlobalOptions): Context {
  const json = options.json === true;
  const output = new Output(Deno.stdout, Deno.stderr, json);
  const env = (name: string) => Deno.env.get(name);
  return {
    output,
    log: createLog({
      write: (line) => output.line(line),
      level: options.verbose === true ? "debug" : "info",
      json,
      now: systemClock.now,
    }),
    paths: homePaths(Deno.build.os, env, options.home, Deno.cwd()),
    clock: systemClock,
    random: systemRandom,
    env,
    os: Deno.build.os,
  };
}

/** Returns where a command that may ask on the terminal gets the wallet's passphrase. */
export function interactivePassphrase({ env, log }: Context): PassphraseSource {
  return passphraseSource({ env, terminal: SYSTEM_TERMINAL, log });
}

/** Returns where a command whose stdin is not its user's gets the wallet's passphrase. */
export function unattendedPassphrase({ env, log }: Context): PassphraseSource {
  return passphraseSource({ env, terminal: null, log });
}

/** Opens the home's wallet and sees to it that the state beside it is its own. Throws IdentityError. */
export async function openIdentity(
  context: Context,
  passphrase: PassphraseSource,
): Promise<{ readonly wallet: Wallet; readonly identity: LocalIdentity }> {
  const wallet = await loadWallet(context.paths, passphrase);
  for (const { from, to } of await settleState(context.paths, wallet.peerId)) {
    context.log.warn("state of another identity was set aside", { from, to });
  }
  return { wallet, identity: new LocalIdentity(wallet.secretKey) };
}
