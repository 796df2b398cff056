/**
 * The stage on which transcripts are played: machines, each with a home of its own, and what happens on
 * them besides Talos. Everything lies in one temporary folder that transcripts see as `/home`. Nothing
 * sleeps: a command is waited for until it ends, or until it says what to do next.
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

import { ownAddress } from "../../lib/cli/own_address.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import { homePaths } from "../../lib/identity/home.ts";
import { createWallet, lockWallet } from "../../lib/identity/wallet.ts";
import { saveWallet } from "../../lib/identity/wallet_file.ts";
import { SILENT } from "../../lib/log.ts";
import { TALOS, TALOS_SERVER } from "../../scripts/talos_process.ts";
import { publishOldRecord } from "./old_record.ts";
import {
  Placeholders,
  type Printed,
  printedLines,
  type Step,
  withoutRepetitions,
} from "./transcript.ts";

/** How long a command may take before the test gives up. */
const DEADLINE_MS = 60_000;

/** scrypt's cost of a sealed wallet on the stage: small, since what it protects is nothing. */
const SCRYPT_N = 2 ** 10;

/** Where the transcripts see the machines. */
const SHOWN_ROOT = "/home";

/** What a command that runs on says last before it is ready. */
const NAMES_NEXT_STEP = /^next, .*\n/m;

/** What a registry says then. */
const REGISTRY_IS_READY = /back them up\n/m;

interface Machine {
  readonly name: string;
  /** The user's directory. */
  readonly directory: string;
  /** What its clock does. */
  aheadSeconds: number;
  rate: number;
  /** What runs on it. */
  readonly running: Background[];
}

/** Plays transcripts. */
export class Stage implements AsyncDisposable {
  readonly #root: string;
  readonly #machines = new Map<string, Machine>();
  readonly #resources = new AsyncDisposableStack();
  readonly #placeholders = new Placeholders();
  #walletBefore: { readonly path: string; readonly text: string } | undefined;

  private constructor(root: string) {
    this.#root = root;
    this.#placeholders.set("ADDRESS", ownAddress());
    this.#placeholders.set(
      "CHECKOUT",
      fileURLToPath(new URL("../..", import.meta.url)).slice(0, -1),
    );
  }

  /** Sets up an empty stage. */
  static async make(): Promise<Stage> {
    return new Stage(await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-stage-" })));
  }

  /** Plays a transcript and returns how it reads now. */
  async play(steps: readonly Step[]): Promise<string> {
    const lines: string[] = [];
    for (const step of steps) {
      lines.push(step.line);
      if (step.kind === "act") lines.push(...this.#shown(await this.#act(step.act)));
      if (step.kind === "command") {
        lines.push(...step.input.map((line) => `< ${line}`));
        lines.push(...this.#shown(await this.#command(step)));
      }
    }
    return lines.join("\n") + "\n";
  }

  /** Ends what runs and clears the stage. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const { running } of this.#machines.values()) {
      for (const process of running) await process.stop();
    }
    await this.#resources.disposeAsync();
    await Deno.remove(this.#root, { recursive: true });
  }

  #shown(printed: Printed | null): string[] {
    if (printed === null) return [];
    return withoutRepetitions(
      printedLines(printed).map((line) =>
        this.#placeholders.hide(line.replaceAll(this.#root, SHOWN_ROOT))
      ),
    );
  }

  #machine(name: string): Machine {
    const known = this.#machines.get(name);
    if (known !== undefined) return known;
    const directory = `${this.#root}/${name}`;
    Deno.mkdirSync(directory);
    const machine = { name, directory, aheadSeconds: 0, rate: 1, running: [] };
    this.#machines.set(name, machine);
    return machine;
  }

  async #command(step: Step & { kind: "command" }): Promise<Printed> {
    const machine = this.#machine(step.machine);
    const typed = this.#placeholders.fill(step.typed).replaceAll(
      `${SHOWN_ROOT}/`,
      `${this.#root}/`,
    );
    const words = splitWords(typed);
    const env: Record<string, string> = {};
    while (/^[A-Z_]+=/.test(words[0] ?? "")) {
      const [name = "", ...value] = words.shift()!.split("=");
      env[name] = value.join("=");
    }
    const program = words.shift();
    assert.match(program ?? "", /^talos(?:-server)?$/, `the stage knows Talos alone: ${step.line}`);
    const command = program === "talos" ? commandOf(machine, words) : [...TALOS_SERVER, ...words];
    const process = new Background(command, machine.directory, env);
    if (!step.background) return await process.finish(step.input);
    machine.running.push(process);
    const printed = await process.ready(program === "talos" ? NAMES_NEXT_STEP : REGISTRY_IS_READY);
    if (program === "talos") this.#bindRunning(machine);
    else this.#bindRegistry(machine, printed);
    return printed;
  }

  /** Names a registry's key and port by its machine: `<REGISTRY>` and `<REGISTRY-PORT>` on `registry`. */
  #bindRegistry({ name }: Machine, { stderr }: Printed): void {
    const [, key = "", port = ""] = /ready: (z6Mk\w+)@\S+:(\d+)$/m.exec(stderr) ??
      assert.fail(stderr);
    this.#placeholders.set(name.toUpperCase(), key);
    this.#placeholders.set(`${name.toUpperCase()}-PORT`, port);
  }

  /** Names the port of what runs on a machine: `<PORT>` on the host, `<NAME-PORT>` elsewhere. */
  #bindRunning(machine: Machine): void {
    const run = `${machine.directory}/.talos/run`;
    for (const { name } of Deno.readDirSync(run)) {
      if (!/^mcp-.*\.json$/.test(name)) continue;
      const { port } = JSON.parse(Deno.readTextFileSync(`${run}/${name}`));
      const service = name.slice("mcp-".length, -".json".length);
      const prefix = machine.name === "host" ? "" : `${machine.name.toUpperCase()}-`;
      const suffix = service === "default" ? "" : `-${service.toUpperCase()}`;
      this.#placeholders.set(`${prefix}PORT${suffix}`, String(port));
    }
  }

  async #act(text: string): Promise<Printed | null> {
    for (const [pattern, act] of ACTS) {
      const found = pattern.exec(text);
      if (found === null) continue;
      return await act.call(this, ...found.slice(1)) ?? null;
    }
    throw new Error(`nobody knows how to do this: ${text}`);
  }

  /** Gives machines wallets of their own. */
  async identities(names: string): Promise<void> {
    for (const name of names.split(/, | and /)) {
      const wallet = createWallet({ name, now: Date.now(), random: systemRandom });
      this.#placeholders.set(name.toUpperCase(), wallet.peerId);
      await saveWallet(this.#paths(name), wallet, { force: false, log: SILENT });
    }
  }

  /** Gives a machine a wallet that is sealed. */
  async sealedIdentity(name: string, passphrase: string): Promise<void> {
    const wallet = createWallet({ name, now: Date.now(), random: systemRandom });
    this.#placeholders.set(name.toUpperCase(), wallet.peerId);
    const sealed = await lockWallet(wallet, passphrase, systemRandom, SCRYPT_N);
    await saveWallet(this.#paths(name), sealed, { force: false, log: SILENT });
  }

  /** Changes the text of a machine's wallet, and remembers it. */
  changeWallet(name: string, change: (text: string) => string): void {
    const path = this.#paths(name).wallet;
    const text = change(Deno.readTextFileSync(path));
    Deno.writeTextFileSync(path, text);
    this.#walletBefore = { path, text };
  }

  /** Changes who may read a machine's wallet. */
  openWallet(name: string, mode: string): void {
    const path = this.#paths(name).wallet;
    Deno.chmodSync(path, parseInt(mode, 8));
    this.#walletBefore = { path, text: Deno.readTextFileSync(path) };
  }

  /** Fails when a wallet is not what was made of it. */
  walletIsUntouched(): void {
    const { path, text } = this.#walletBefore ?? assert.fail("no wallet was changed");
    assert.equal(Deno.readTextFileSync(path), text);
  }

  /** Writes a file into the directory of a machine's user. */
  writeFile(path: string, text: string): void {
    const inStage = path.replace(SHOWN_ROOT, this.#root);
    this.#machine(path.split("/")[2] ?? assert.fail(path));
    Deno.writeTextFileSync(inStage, text, { mode: 0o600 });
  }

  /** Writes a program that a shell runs. */
  writeProgram(name: string, program: string, text: string): void {
    const path = `${this.#machine(name).directory}/${program}`;
    Deno.writeTextFileSync(path, `#!/bin/sh\n${text}\n`, { mode: 0o700 });
  }

  /** Makes an empty directory. */
  makeDirectory(path: string): void {
    this.#machine(path.split("/")[2] ?? assert.fail(path));
    Deno.mkdirSync(path.replace(SHOWN_ROOT, this.#root), { recursive: true });
  }

  /** Lets a machine's clock be wrong, or run fast. */
  setClock(name: string, aheadSeconds: number, rate: number): void {
    const machine = this.#machine(name);
    machine.aheadSeconds = aheadSeconds;
    machine.rate = rate;
  }

  /** Names a port on which nothing listens. */
  freePort(): void {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#placeholders.set("PORT", String(listener.addr.port));
  }

  /** Lets a program that is no Talos answer each connection with `answer`, or with silence. */
  otherProgram(answer: string | null): void {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    this.#placeholders.set("PORT", String(listener.addr.port));
    const connections: Deno.Conn[] = [];
    const serving = (async () => {
      for await (const connection of listener) {
        connections.push(connection);
        if (answer !== null) await connection.write(new TextEncoder().encode(answer));
      }
    })();
    this.#resources.defer(async () => {
      listener.close();
      for (const connection of connections) connection.close();
      await serving;
    });
  }

  /** Stops what runs on a machine and returns what it printed since. */
  async stop(name: string): Promise<Printed> {
    const all: Printed[] = [];
    for (const process of this.#machine(name).running.splice(0)) all.push(await process.stop());
    return {
      stdout: all.map(({ stdout }) => stdout).join(""),
      stderr: all.map(({ stderr }) => stderr).join(""),
      code: all.at(-1)?.code ?? assert.fail(`nothing runs on ${name}`),
    };
  }

  /** Kills what runs on a machine. */
  async kill(name: string): Promise<void> {
    for (const process of this.#machine(name).running.splice(0)) await process.kill();
  }

  /** Waits until what was started last on a machine says something more, and returns what it printed up to there. */
  async untilSaid(name: string, text: string): Promise<Printed> {
    const process = this.#machine(name).running.at(-1);
    return await process?.said(this.#placeholders.fill(text)) ??
      assert.fail(`nothing runs on ${name}`);
  }

  /** Removes a file or a directory of a machine's user. */
  remove(path: string): void {
    Deno.removeSync(path.replace(SHOWN_ROOT, this.#root), { recursive: true });
  }

  /** Publishes a service of a machine that runs nothing, as it did some hours ago. */
  async published(name: string, service: string, address: string, hours: number): Promise<void> {
    await publishOldRecord({
      paths: this.#paths(name),
      registry: this.#placeholders.fill("127.0.0.1:<REGISTRY-PORT>"),
      service,
      addresses: [this.#placeholders.fill(address)],
      at: Date.now() - hours * 3_600_000,
    });
  }

  #paths(name: string) {
    const { directory } = this.#machine(name);
    return homePaths("linux", (name) => name === "HOME" ? directory : undefined);
  }
}

type Act = (this: Stage, ...found: string[]) => Promise<Printed | void> | void;

const ACTS: readonly (readonly [RegExp, Act])[] = [
  [/^(.+) ha(?:s|ve) (?:an identity|identities)$/, function (names = "") {
    return this.identities(names);
  }],
  [/^(\w+) has an identity, sealed under the passphrase "(.*)"$/, function (name = "", pass = "") {
    return this.sealedIdentity(name, pass);
  }],
  [/^the wallet of (\w+) is cut after (\d+) bytes$/, function (name = "", bytes = "") {
    this.changeWallet(name, (text) => text.slice(0, Number(bytes)));
  }],
  [/^the wallet of (\w+) becomes (.*)$/, function (name = "", text = "") {
    this.changeWallet(name, () => text);
  }],
  [/^the version in the wallet of (\w+) becomes (\d+)$/, function (name = "", version = "") {
    this.changeWallet(name, (text) => text.replace(/"version":\d+/, `"version":${version}`));
  }],
  [/^the wallet of (\w+) gets the secret key of another$/, function (name = "") {
    const { secretKey } = createWallet({ name: "other", now: 0, random: systemRandom });
    const key = secretKey.toBase64({ alphabet: "base64url", omitPadding: true });
    this.changeWallet(
      name,
      (text) => text.replace(/"secret_key":"[^"]+"/, `"secret_key":"${key}"`),
    );
  }],
  [/^the wallet of (\w+) gets the mode (\d+)$/, function (name = "", mode = "") {
    this.openWallet(name, mode);
  }],
  [/^the wallet is as it was$/, function () {
    this.walletIsUntouched();
  }],
  [/^(\S+) is: (.*)$/, function (path = "", text = "") {
    this.writeFile(path, `${text}\n`);
  }],
  [/^(\w+) has an MCP server that answers pings: \.\/(\w+)$/, function (name = "", program = "") {
    this.writeProgram(name, program, ANSWERS_PINGS);
  }],
  [/^(\S+) is a directory$/, function (path = "") {
    this.makeDirectory(path);
  }],
  [/^the clock of (\w+) is (\d+) s (ahead|behind)$/, function (name = "", seconds = "", way = "") {
    this.setClock(name, way === "ahead" ? Number(seconds) : -Number(seconds), 1);
  }],
  [/^the clock of (\w+) is right$/, function (name = "") {
    this.setClock(name, 0, 1);
  }],
  [/^time runs (\d+) times as fast on (\w+)$/, function (rate = "", name = "") {
    this.setClock(name, 0, Number(rate));
  }],
  [/^nothing listens on <PORT>$/, function () {
    this.freePort();
  }],
  [/^a web server listens on <PORT>$/, function () {
    this.otherProgram("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
  }],
  [/^a program that says nothing listens on <PORT>$/, function () {
    this.otherProgram(null);
  }],
  [/^(\w+) is stopped$/, function (name = "") {
    return this.stop(name);
  }],
  [/^(\w+) is killed$/, function (name = "") {
    return this.kill(name);
  }],
  [/^(\w+) says "(.*)"$/, function (name = "", text = "") {
    return this.untilSaid(name, text);
  }],
  [/^(\w+) says, among others, "(.*)"$/, async function (name = "", text = "") {
    const { stderr, ...rest } = await this.untilSaid(name, text);
    const lines = stderr.split("\n").filter((line) => line.includes(text));
    return { ...rest, stderr: lines.map((line) => `${line}\n`).join("") };
  }],
  [/^(\S+) is removed$/, function (path = "") {
    this.remove(path);
  }],
  [
    /^(\w+) published "(.*)" at (\S+) (\d+) h ago$/,
    function (name = "", service = "", address = "", hours = "") {
      return this.published(name, service, address, Number(hours));
    },
  ],
];

/** As little of an MCP server as a shell can be. */
const ANSWERS_PINGS = `while IFS= read -r line; do
  printf '%s\\n' "$line" | sed 's/"method":"ping"/"result":{}/'
done`;

function commandOf(machine: Machine, args: readonly string[]): readonly string[] {
  if (machine.aheadSeconds === 0 && machine.rate === 1) return [...TALOS, ...args];
  const main = fileURLToPath(new URL("talos_with_clock.ts", import.meta.url));
  const clock = [String(machine.aheadSeconds), String(machine.rate)];
  return [...TALOS.slice(0, -1), main, ...clock, ...args];
}

/** Splits what was typed into words: quotes and backslashes as in a POSIX shell, nothing else of it. */
function splitWords(typed: string): string[] {
  const words = typed.match(/(?:'[^']*'|"(?:\\.|[^"\\])*"|\\.|[^\s'"\\])+/g) ?? [];
  return words.map((word) =>
    word.replace(
      /'([^']*)'|"((?:\\.|[^"\\])*)"|\\(.)/g,
      (_, single?: string, double?: string, escaped?: string) =>
        single ?? double?.replace(/\\(.)/g, "$1") ?? escaped ?? "",
    )
  );
}

/** A process: read to its end, or to where it says what to do next. */
class Background {
  readonly #child: Deno.ChildProcess;
  readonly #reading: Promise<unknown>;
  #text = { stdout: "", stderr: "" };
  #shown = 0;
  #grown = Promise.withResolvers<void>();
  #ended = false;

  constructor(
    [program = "", ...args]: readonly string[],
    directory: string,
    env: Record<string, string>,
  ) {
    this.#child = new Deno.Command(program, {
      args,
      cwd: directory,
      clearEnv: true,
      env: { ...environment(directory), ...env },
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#reading = Promise.all([this.#read("stdout"), this.#read("stderr")]).then(() => {
      this.#ended = true;
      this.#signal();
    });
  }

  /** Gives it its input, waits for an answer to each request in it, and for its end. */
  async finish(input: readonly string[]): Promise<Printed> {
    const writer = this.#child.stdin.getWriter();
    const requests = input.filter((line) => /"id":/.test(line) && /"method":/.test(line)).length;
    await writer.write(new TextEncoder().encode(input.map((line) => `${line}\n`).join("")))
      .catch(() => {}); // it ended without reading all
    await this.#until(() => this.#text.stdout.split("\n").length > requests);
    await writer.close().catch(() => {}); // the same
    await this.#until(() => false);
    const { code } = await this.#child.status;
    return { ...this.#text, code };
  }

  /** Waits until it is ready: it names the next step, or whatever else `sign` finds last. */
  async ready(sign: RegExp): Promise<Printed> {
    await this.#until(() => sign.test(this.#text.stderr));
    const code = this.#ended ? (await this.#child.status).code : null;
    // What follows comes when it comes: it is shown when somebody asks for it.
    const last = [...this.#text.stderr.matchAll(new RegExp(sign, "gm"))].at(-1);
    this.#shown = code === null && last !== undefined
      ? last.index + last[0].length
      : this.#text.stderr.length;
    return { stdout: this.#text.stdout, stderr: this.#text.stderr.slice(0, this.#shown), code };
  }

  /** Waits until it says `text`, and returns what it printed since it was ready, up to there. */
  async said(text: string): Promise<Printed> {
    const from = this.#shown;
    const end = () => {
      const at = this.#text.stderr.indexOf(text, from);
      return at < 0 ? -1 : this.#text.stderr.indexOf("\n", at);
    };
    await this.#until(() => end() >= 0);
    this.#shown = end() + 1;
    return { stdout: "", stderr: this.#text.stderr.slice(from, this.#shown), code: null };
  }

  /** Kills it. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#until(() => false);
    await this.#child.status;
    await this.#child.stdin.close().catch(() => {}); // nobody reads it any more
  }

  /** Ends it, and returns what it printed since it was ready. */
  async stop(): Promise<Printed> {
    try {
      this.#child.kill("SIGTERM");
    } catch {
      // it has ended already
    }
    await this.#until(() => false);
    const { code } = await this.#child.status;
    await this.#child.stdin.close().catch(() => {}); // nobody reads it any more
    return { stdout: "", stderr: this.#text.stderr.slice(this.#shown), code };
  }

  async #read(from: "stdout" | "stderr"): Promise<void> {
    const decoder = new TextDecoder();
    for await (const chunk of this.#child[from]) {
      this.#text[from] += decoder.decode(chunk, { stream: true });
      this.#signal();
    }
  }

  /** Waits until `holds`, or until the process has ended. */
  async #until(holds: () => boolean): Promise<void> {
    const late = setTimeout(() => this.#child.kill("SIGKILL"), DEADLINE_MS);
    while (!this.#ended && !holds()) await this.#grown.promise;
    if (this.#ended) await this.#reading;
    clearTimeout(late);
  }

  #signal(): void {
    const { resolve } = this.#grown;
    this.#grown = Promise.withResolvers();
    resolve();
  }
}

/** What a process on a machine sees: its user's directory, and where Deno keeps its packages. */
function environment(directory: string): Record<string, string> {
  const inherited: Record<string, string> = {};
  for (const name of ["PATH", "NPM_CONFIG_REGISTRY"]) {
    const value = Deno.env.get(name);
    if (value !== undefined) inherited[name] = value;
  }
  return { ...inherited, HOME: directory, DENO_DIR: denoDirectory(), NO_COLOR: "1" };
}

let knownDenoDirectory: string | undefined;

/** Returns Deno's cache, which does not move with `$HOME`. */
function denoDirectory(): string {
  return knownDenoDirectory ??= Deno.env.get("DENO_DIR") ?? askDenoDirectory();
}

function askDenoDirectory(): string {
  const { stdout } = new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).outputSync();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}
