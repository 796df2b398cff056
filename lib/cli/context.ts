/**
 * What every command gets from the outside: the home, the terminal, time, randomness, the environment.
 *
 * Keys and cryptography are loaded only by a command that opens the wallet.
 */

import { type Clock, systemClock } from "../clock.ts";
import { type RandomBytes, systemRandom } from "../crypto/random.ts";
import { type Environment, type HomePaths, homePaths } from "../identity/home.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import { type PassphraseSource, passphraseSource } from "../identity/passphrase.ts";
import { SYSTEM_TERMINAL } from "../identity/terminal.ts";
import type { Wallet } from "../identity/wallet.ts";
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
  /** Where the identity's files lie. Reading this throws IdentityError when that cannot be told. */
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

/** What the world gives to a program and a test may choose. */
export type World = Pick<Context, "clock" | "random">;

/** The world as it is. */
export const SYSTEM: World = { clock: systemClock, random: systemRandom };

/** Returns the context of a command in this process. */
export function systemContext(options: GlobalOptions, { clock, random }: World = SYSTEM): Context {
  const { os } = Deno.build;
  const json = options.json === true;
  const output = new Output(Deno.stdout, Deno.stderr, json);
  const env = (name: string) => Deno.env.get(name);
  let paths: HomePaths | undefined;
  return {
    output,
    log: createLog({
      write: (line) => output.line(line),
      level: options.verbose === true ? "debug" : "info",
      json,
      now: clock.now,
    }),
    get paths() {
      return paths ??= homePaths(os, env, options.home, Deno.cwd());
    },
    clock,
    random,
    env,
    os,
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
  const [{ loadWallet }, { settleState }, { LocalIdentity }] = await Promise.all([
    import("../identity/wallet_file.ts"),
    import("../identity/set_aside.ts"),
    import("../identity/local_identity.ts"),
  ]);
  const wallet = await loadWallet(context.paths, passphrase);
  for (const { from, to } of await settleState(context.paths, wallet.peerId)) {
    context.log.warn("state of another identity was set aside", { from, to });
  }
  return { wallet, identity: new LocalIdentity(wallet.secretKey) };
}
