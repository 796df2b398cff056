/** Runs docs/RUNBOOK.md as it stands: a registry, a host and an agent in network namespaces of their own. */

import assert from "node:assert/strict";
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { FILESYSTEM_SERVER, prepareServer } from "../../scripts/mcp_servers.ts";
import { createNetwork, type Network, whyNoNamespaces } from "../../scripts/network_namespaces.ts";
import { ROOT } from "../../scripts/source_files.ts";
import { whyNoTcpdump } from "../../scripts/wire_recorder.ts";
import { type Block, type Command, Known, parseRunbook } from "./runbook.ts";
import { ANSWERED, Machine, type StandIns } from "./runbook_machine.ts";

const DOCUMENT = new URL("docs/RUNBOOK.md", ROOT);
const BLOCKS = parseRunbook(await Deno.readTextFile(DOCUMENT));

/** What nothing here can run, and why. */
const NOT_RUN = [
  "sudo ufw allow 8765/tcp (it changes the machine's firewall)",
  "sudo systemctl enable --now talos-server (it needs systemd)",
  "talos mcp-install <LINUX_PEER_ID> --server <REGISTRY> --client claude-desktop " +
  "(it writes into the configuration of a Mac)",
  "open -e ~/Library/Application\\ Support/Claude/claude_desktop_config.json (it opens an editor on a Mac)",
  "talos service install -- --authorized-peer <MAC_PEER_ID> --command " +
  '"npx -y @modelcontextprotocol/server-filesystem /home/user/projects" ' +
  "(it needs a session of systemd's)",
];

/** What differs on the machines in miniature, beside the angle brackets. */
const SUBSTITUTES: readonly (readonly [written: string, here: string, why: string])[] = [
  ["/path/to/talos", "{mac}/.deno/bin/talos", "where Talos was installed"],
  ["/home/user/", "{folder}/user/", "this machine has no such user"],
  ["scripts/wire_audit.ts", "scripts/wire_audit.ts --secrets 40", "a thousand take 10 s"],
  [" of 1000 secrets", " of 40 secrets", "the same"],
  ["found 1000", "found 40", "the same"],
];

/** What a command that goes to the background writes last before it is of use. */
const READY = [
  [/talos-server .*> (\S+) 2>&1 &/, "back them up"],
] as const;

/** Programs that the document takes for granted and this machine has not. */
const MISSING = ["nc", "sudo"].filter((name) =>
  !new Deno.Command("sh", { args: ["-c", `command -v ${name}`], stdout: "null" }).outputSync()
    .success
);

const whyNot = whyNoNamespaces();
const whyUnrecorded = whyNot === null ? await whyNoTcpdump() : null;

Deno.test("RUNBOOK.md marks what cannot be run here, and nothing else", () => {
  const marked = BLOCKS.flatMap((block) =>
    block.kind === "not run" ? block.commands.map(({ typed }) => `${typed} (${block.reason})`) : []
  );
  assert.deepEqual(marked, NOT_RUN);
  const others = BLOCKS.flatMap((block) => block.kind === "other" ? [block.language] : []);
  assert.deepEqual(others, ["ini"]);
  const typed = BLOCKS.flatMap((block) => "commands" in block ? block.commands : []);
  assert.ok(typed.length > 60, `${typed.length} commands are read`);
});

Deno.test({
  name: "RUNBOOK.md works as typed on three machines" +
    (whyNot === null ? "" : ` (skipped: ${whyNot})`) +
    (whyUnrecorded === null ? "" : ` (without tcpdump: ${whyUnrecorded})`) +
    (MISSING.length === 0 ? "" : ` (with stand-ins for ${MISSING.join(", ")})`),
  ignore: whyNot !== null,
  // The SDK's client leaves timers behind when it is closed.
  sanitizeOps: false,
  sanitizeResources: false,
  async fn(t) {
    const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-runbook-" }));
    try {
      await using network = await createNetwork();
      await using stage = await RunbookStage.make(network, folder);
      const sections = Map.groupBy(BLOCKS, ({ section }) => section);
      for (const [section, blocks] of sections) {
        const done = await t.step(section, async () => {
          for (const block of blocks) await stage.play(block);
        });
        if (!done) return; // what follows needs what went before
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

/** The three machines. */
class RunbookStage implements AsyncDisposable {
  readonly #folder: string;
  readonly #machines: ReadonlyMap<string, Machine>;
  readonly #known: Known;
  /** How many of those that should run were left out, so that nobody interrupts others in their place. */
  #notStarted = 0;

  private constructor(folder: string, machines: ReadonlyMap<string, Machine>) {
    this.#folder = folder;
    this.#machines = machines;
    this.#known = new Known({
      REGISTRY: "10.78.1.1",
      LINUX_ADDRESS: "10.78.3.1",
      BACKUP: `${folder}/backup`,
    });
  }

  /** Lays the cables, and puts what the document takes for granted in place. */
  static async make(network: Network, folder: string): Promise<RunbookStage> {
    const names = ["registry", "linux", "mac"] as const;
    const [registry, linux, mac] = await Promise.all(names.map((name) => network.machine(name)));
    if (registry === undefined || linux === undefined || mac === undefined) assert.fail();
    await network.cable([registry, linux], [["10.78.1.1/24"], ["10.78.1.2/24"]]);
    await network.cable([registry, mac], [["10.78.2.1/24"], ["10.78.2.2/24"]]);
    await network.cable([linux, mac], [["10.78.3.1/24"], ["10.78.3.2/24"]]);
    const route = ["-n", mac.name, "route", "add", "10.78.1.1", "via", "10.78.2.1"];
    assert.ok((await new Deno.Command("ip", { args: route }).output()).success);
    for (const name of ["backup", "user", "user/projects", "user/notes"]) {
      await Deno.mkdir(`${folder}/${name}`);
    }
    await Deno.writeTextFile(`${folder}/user/projects/plan.txt`, "the plan of the projects\n");
    const standIns = await makeStandIns(folder);
    const cache = await denoDirectory();
    const machines = new Map(
      [registry, linux, mac].map((namespace, i) => {
        const name = names[i] ?? assert.fail();
        return [name, new Machine(namespace, `${folder}/${name}`, standIns, cache)] as const;
      }),
    );
    return new RunbookStage(folder, machines);
  }

  async play(block: Block): Promise<void> {
    switch (block.kind) {
      case "commands":
        for (const command of block.commands) await this.#run(command, block);
        return;
      case "running":
        for (const command of block.commands) await this.#start(command, block);
        return;
      case "file":
        if (block.name === "client") return await this.#useClient(block.machine, block.text);
        return await Deno.writeTextFile(
          `${this.#machine(block.machine).home}/${block.name}`,
          this.#substituted(block.text),
        );
      case "not run":
      case "other":
        return;
      default:
        throw block satisfies never;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const machine of this.#machines.values()) await machine[Symbol.asyncDispose]();
  }

  async #run(
    { machine: name, typed, expected }: Command,
    { where, line }: Block & { readonly kind: "commands" },
  ): Promise<void> {
    const machine = this.#machine(name);
    if (this.#needsTcpdump(typed)) return;
    if (typed === "^C") {
      if (this.#notStarted === 0) return await machine.interrupt();
      this.#notStarted--;
      return;
    }
    const here = this.#substituted(typed);
    const lines = expected.map((text) => this.#standing(text));
    const isAnswered = (printed: string) => this.#known.missing(lines, printed).length === 0;
    const { code, printed } = where === "checkout"
      ? await machine.runInCheckout(here)
      : await machine.run(here, isAnswered);
    const story = `in the block of line ${line}, ${name}$ ${here}\n${printed}`;
    assert.equal(code, 0, story);
    const missing = this.#known.missing(lines, printed);
    assert.deepEqual(missing, [], story);
    for (const [background, text] of READY) {
      const file = background.exec(here)?.[1];
      if (file !== undefined) await machine.untilWritten(file, text);
    }
  }

  async #start(
    { machine: name, typed, expected }: Command,
    { line }: Block & { readonly kind: "running" },
  ): Promise<void> {
    if (this.#needsTcpdump(typed)) {
      this.#notStarted++;
      return;
    }
    const lines = expected.map((text) => this.#standing(text));
    let printed = "";
    await this.#machine(name).start(this.#substituted(typed), (text) => {
      printed = text;
      return this.#known.missing(lines, text).length === 0;
    });
    const missing = this.#known.missing(lines, printed);
    assert.deepEqual(missing, [], `in the block of line ${line}, ${name}$ ${typed}\n${printed}`);
  }

  /** Does what an MCP client does with such a configuration: starts each server and uses it. */
  async #useClient(name: string, text: string): Promise<void> {
    const { mcpServers } = JSON.parse(this.#substituted(text));
    const servers: { readonly command: string; readonly args: readonly string[] }[] = Object.values(
      mcpServers,
    );
    assert.ok(servers.length > 0);
    for (const { command, args } of servers) {
      const client = new Client({ name: "claude-desktop", version: "1.0.0" });
      const program = this.#machine(name).program([command, ...args]);
      await client.connect(new StdioClientTransport({ ...program, stderr: "inherit" }));
      const { tools } = await client.listTools();
      assert.ok(tools.some((tool: { readonly name: string }) => tool.name === "read_text_file"));
      const path = `${this.#folder}/user/projects/plan.txt`;
      const result = await client.callTool({ name: "read_text_file", arguments: { path } });
      assert.match(JSON.stringify(result), /the plan of the projects/);
      await client.close();
    }
  }

  #machine(name: string): Machine {
    return this.#machines.get(name) ?? assert.fail(`there is no machine ${name}`);
  }

  #needsTcpdump(typed: string): boolean {
    return whyUnrecorded !== null && typed.includes("tcpdump");
  }

  #substituted(text: string): string {
    return this.#known.fill(this.#standing(text));
  }

  /** Returns `text` as it stands on these machines, angle brackets as they are. */
  #standing(text: string): string {
    return SUBSTITUTES.reduce(
      (replaced, [written, here]) =>
        replaced.replaceAll(
          written,
          here.replace("{folder}", this.#folder).replace("{mac}", this.#machine("mac").home),
        ),
      text,
    );
  }
}

/** Makes stand-ins for what the document takes for granted and this machine may not have. */
async function makeStandIns(folder: string): Promise<StandIns> {
  const standIns = { first: `${folder}/stand-ins`, last: `${folder}/last-stand-ins` };
  await Deno.mkdir(standIns.first);
  await Deno.mkdir(standIns.last);
  const write = (directory: string, name: string, ...lines: readonly string[]) =>
    Deno.writeTextFile(`${directory}/${name}`, lines.join("\n") + "\n", { mode: 0o755 });
  const quoted = (words: readonly string[]) => words.map((word) => `'${word}'`).join(" ");
  const server = await prepareServer(FILESYSTEM_SERVER);
  await write(
    standIns.first,
    "npx",
    "#!/bin/sh",
    'if [ "$1 $2" != "-y @modelcontextprotocol/server-filesystem" ]; then exit 127; fi',
    "shift 2",
    `exec ${quoted(server)} "$@"`,
  );
  await Deno.symlink(Deno.execPath(), `${standIns.first}/deno`);
  await write(
    standIns.first,
    "sleep",
    "#!/bin/bash",
    `while [ ! -e "$HOME/${ANSWERED}" ]; do read -rt 0.05 <> <(:); done`,
  );
  await write(
    standIns.last,
    "nc",
    "#!/bin/bash",
    'exec 3<> "/dev/tcp/$2/$3" && echo "Connection to $2 $3 port [tcp/*] succeeded!"',
  );
  await write(standIns.last, "sudo", "#!/bin/sh", 'exec "$@"');
  return standIns;
}

async function denoDirectory(): Promise<string> {
  const { stdout } = await new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).output();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}
