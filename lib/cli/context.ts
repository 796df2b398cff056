/**
 * What every command gets from the outside: the home, the terminal, time, randomness, the environment.
 *
 * Keys and cryptography are loaded only by a command that opens the wallet.
 */

import { type Clock, systemClock } from "../clock.ts";
import { type RandomBytes, systemRandom } from "../crypto/random.ts";
import type { OperatingSystem } from "../identity/file_path.ts";
import { type Environment, type HomePaths, homePaths } from "../identity/home.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import { type PassphraseSource, passphraseSource } from "../identity/passphrase.ts";
import { SYSTEM_TERMINAL } from "../identity/terminal.ts";
import type { Wallet } from "../identity/wallet.ts";
import { createLog, type Log, type LogFields } from "../log.ts";
import { Output } from "./output.ts";
import type { StartRegistry } from "./own_registry.ts";
import { withOptionsInForce } from "./talos_command.ts";

/** The options that every command has. */
export interface GlobalOptions {
  /** The home, instead of `$TALOS_HOME` or `~/.talos`. */
  readonly home?: string;
  /** Results, events and errors as JSON. */
  readonly json?: boolean;
  /** Debug lines too. */
  readonly verbose?: boolean;
  /** The registry, for commands that have one and do not remember it. */
  readonly server?: string;
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
  readonly os: OperatingSystem;
  /** Starts a registry in this process, where the program has one in it. */
  readonly startRegistry?: StartRegistry;
}

/** What the world gives to a program and a test may choose. */
export type World = Pick<Context, "clock" | "random" | "startRegistry">;

/** The world as it is. */
export const SYSTEM: World = { clock: systemClock, random: systemRandom };

/** Returns the context of a command in this process. */
export function systemContext(options: GlobalOptions, world: World = SYSTEM): Context {
  const { clock } = world;
  const { os } = Deno.build;
  const json = options.json === true;
  const renderHint = (hint: string) => withOptionsInForce(os, options, hint);
  const output = new Output(Deno.stdout, Deno.stderr, json, renderHint);
  const env = (name: string) => Deno.env.get(name);
  let paths: HomePaths | undefined;
  return {
    output,
    log: withRenderedAdvice(
      createLog({
        write: (line) => output.line(line),
        level: options.verbose === true ? "debug" : "info",
        json,
        now: clock.now,
      }),
      renderHint,
    ),
    get paths() {
      return paths ??= homePaths(os, env, options.home, Deno.cwd());
    },
    ...world,
    env,
    os,
  };
}

/** The fact of an event that says what can be done. */
const ADVICE = "cure";

/** Returns a log whose advice can be typed as it stands, as that of errors can. */
function withRenderedAdvice(log: Log, render: (hint: string) => string): Log {
  const rendered = (fields: LogFields = {}): LogFields =>
    Object.fromEntries(
      Object.entries(fields).map(([name, value]) => [
        name,
        name === ADVICE && typeof value === "string" ? render(value) : value,
      ]),
    );
  return {
    debug: (event, fields) => log.debug(event, fields),
    info: (event, fields) =>
      log.info(event.startsWith("hint: ") ? render(event) : event, rendered(fields)),
    warn: (event, fields) => log.warn(event, rendered(fields)),
    error: (event, fields) => log.error(event, rendered(fields)),
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
