/**
 * A machine of the runbook: a network namespace with a user's directory, and a shell in it.
 *
 * Programs that are missing here have stand-ins in a directory at the end of PATH, or, where they would
 * fetch something from a network that namespaces do not have, at its beginning.
 */

import { fileURLToPath } from "node:url";
import type { NetworkNamespace } from "../../scripts/network_namespaces.ts";
import { ROOT } from "../../scripts/source_files.ts";

/** How long a command may take before the test gives up. */
const DEADLINE_MS = 60_000;

/** The file in a user's directory for which the stand-in of `sleep` waits. */
export const ANSWERED = ".answered";

/** What a command printed, both streams together, and how it ended. */
export interface Ended {
  readonly code: number;
  readonly printed: string;
}

/** Where stand-ins lie. */
export interface StandIns {
  /** Asked before the system's programs. */
  readonly first: string;
  /** Asked behind them. */
  readonly last: string;
}

/** A machine on which commands are typed. */
export class Machine implements AsyncDisposable {
  /** The user's directory. */
  readonly home: string;
  readonly #namespace: NetworkNamespace;
  readonly #env: Record<string, string>;
  readonly #running: Typed[] = [];

  /** Makes the user's directory, with Deno's cache in it: namespaces have no network to fetch from. */
  constructor(
    namespace: NetworkNamespace,
    home: string,
    { first, last }: StandIns,
    denoDirectory: string,
  ) {
    this.home = home;
    this.#namespace = namespace;
    const system = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    this.#env = {
      HOME: home,
      PATH: `${home}/.deno/bin:${first}:${system}:${last}`,
      NO_COLOR: "1",
      LC_ALL: "C",
    };
    Deno.mkdirSync(`${home}/.cache`, { recursive: true });
    Deno.symlinkSync(denoDirectory, `${home}/.cache/deno`);
  }

  /** The program and arguments that start `argv` here, and its environment. */
  program(argv: readonly string[]): {
    readonly command: string;
    readonly args: string[];
    readonly env: Record<string, string>;
  } {
    const [command, ...before] = this.#namespace.exec;
    return { command, args: [...before, ...argv], env: this.#env };
  }

  /**
   * Runs what is typed to its end. A `sleep` in it ends once `isAnswered` says so of what was printed: this
   * machine may be too busy for two seconds to be enough.
   */
  async run(typed: string, isAnswered: (printed: string) => boolean): Promise<Ended> {
    const { command, args, env } = this.program(["bash", "-c", typed]);
    const answered = `${this.home}/${ANSWERED}`;
    await Deno.remove(answered).catch(() => {}); // nothing slept before
    const process = new Typed(command, args, env, this.home);
    if (/\bsleep\b/.test(typed)) {
      await process.until(isAnswered);
      await Deno.writeTextFile(answered, "");
    }
    return await process.ended();
  }

  /** Runs what is typed in a checkout to its end, where there is a network. */
  async runInCheckout(typed: string): Promise<Ended> {
    const env = { ...Deno.env.toObject(), ...this.#env };
    return await new Typed("bash", ["-c", typed], env, fileURLToPath(ROOT)).ended();
  }

  /** Starts what is typed and lets it run. `isReady` is asked whenever it prints something. */
  async start(typed: string, isReady: (printed: string) => boolean): Promise<void> {
    const { command, args, env } = this.program(["bash", "-c", `exec ${typed}`]);
    const process = new Typed(command, args, env, this.home);
    this.#running.push(process);
    await process.until(isReady);
  }

  /** Presses Ctrl-C where something was started last, and waits for its end. */
  async interrupt(): Promise<void> {
    const process = this.#running.pop();
    if (process === undefined) throw new Error("nothing runs that could be interrupted");
    await process.interrupt();
  }

  /** Waits until a file in the user's directory contains `text`. */
  async untilWritten(name: string, text: string): Promise<void> {
    const path = `${this.home}/${name}`;
    using watcher = Deno.watchFs(this.home, { recursive: false });
    const late = setTimeout(() => watcher.close(), DEADLINE_MS);
    const isThere = () => Deno.readTextFileSync(path).includes(text);
    try {
      if (isThere()) return;
      for await (const _ of watcher) if (isThere()) return;
      throw new Error(`${name} does not say "${text}": ${Deno.readTextFileSync(path)}`);
    } finally {
      clearTimeout(late);
    }
  }

  /** Ends whatever runs in the namespace, and waits until it has ended. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const process of this.#running.splice(0)) await process.interrupt();
    for (const pid of await this.#pids()) {
      try {
        Deno.kill(pid, "SIGTERM");
      } catch {
        // It has ended.
      }
    }
    // They are no children of ours, so there is no event to wait for.
    for (let left = DEADLINE_MS; left > 0 && (await this.#pids()).length > 0; left -= 20) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async #pids(): Promise<number[]> {
    const args = ["netns", "pids", this.#namespace.name];
    const { stdout } = await new Deno.Command("ip", { args }).output();
    return new TextDecoder().decode(stdout).split("\n").filter((line) => line !== "").map(Number);
  }
}

/** Something that was typed. */
class Typed {
  readonly #child: Deno.ChildProcess;
  readonly #typed: string;
  readonly #reading: Promise<unknown>;
  #printed = "";
  #grown = Promise.withResolvers<void>();
  #over = false;

  constructor(
    command: string,
    args: readonly string[],
    env: Record<string, string>,
    cwd: string,
  ) {
    this.#typed = args.at(-1) ?? command;
    this.#child = new Deno.Command(command, {
      args: [...args],
      env,
      clearEnv: true,
      cwd,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#reading = Promise.all([this.#read("stdout"), this.#read("stderr")]);
    this.#child.status.then(() => {
      this.#over = true;
      this.#signal();
    });
  }

  /** Waits for its end, not for that of what it leaves running. */
  async ended(): Promise<Ended> {
    await this.until(() => false);
    const { code } = await this.#child.status;
    await this.#reading;
    return { code, printed: this.#printed };
  }

  /** Waits until `holds` says so of what was printed. Throws Error when it ends or hangs before. */
  async until(holds: (printed: string) => boolean): Promise<void> {
    const late = setTimeout(() => this.#child.kill("SIGKILL"), DEADLINE_MS);
    try {
      while (!holds(this.#printed)) {
        if (this.#over) {
          await this.#reading;
          if (holds(this.#printed)) return;
          const { signal } = await this.#child.status;
          if (signal === "SIGKILL") throw new Error(`${this.#typed} hangs:\n${this.#printed}`);
          return;
        }
        await this.#grown.promise;
      }
    } finally {
      clearTimeout(late);
    }
  }

  /** Sends what Ctrl-C sends, and waits for the end. */
  async interrupt(): Promise<void> {
    try {
      this.#child.kill("SIGINT");
    } catch {
      // it has ended already
    }
    await this.#child.status;
    await this.#reading;
  }

  async #read(from: "stdout" | "stderr"): Promise<void> {
    for await (const text of this.#child[from].pipeThrough(new TextDecoderStream())) {
      this.#printed += text;
      this.#signal();
    }
  }

  #signal(): void {
    const { resolve } = this.#grown;
    this.#grown = Promise.withResolvers();
    resolve();
  }
}
