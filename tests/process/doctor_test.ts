/**
 * `talos doctor` against every symptom of the runbook's troubleshooting: each is provoked, and the check that
 * fails, what is to be done, and the exit status are what the runbook says.
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

import { initHome, runTalosProcess, startHost, TALOS } from "../../scripts/talos_process.ts";
import { DiscoveryScene } from "./discovery_scene.ts";
import { fixture, type Party, Sandbox, tunnel } from "./mcp_tunnel.ts";

const POSIX = Deno.build.os !== "windows";

/** Where packages are kept: not in the directory of the user that is played. */
const DENO_DIRECTORY = denoDirectory();

function denoDirectory(): string {
  const { stdout } = new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).outputSync();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}

interface Seen {
  readonly check: string;
  readonly status: string;
  readonly fact: string;
  readonly fix?: string;
}

/** What a run of `talos doctor` said. */
interface Examined {
  readonly code: number;
  readonly findings: readonly Seen[];
  readonly stderr: string;
}

/** How the program is started where its clock is wrong. */
function clockCommand(aheadSeconds: number, rate: number): readonly [string, ...string[]] {
  const [program, ...args] = TALOS;
  const main = fileURLToPath(new URL("talos_with_clock.ts", import.meta.url));
  return [program, ...args.slice(0, -1), main, String(aheadSeconds), String(rate)];
}

/** The environment of a user who has no MCP client, beside the home of an identity. */
function userOf(home: string): Record<string, string> {
  return { HOME: `${home}-user`, XDG_CONFIG_HOME: "", DENO_DIR: DENO_DIRECTORY };
}

async function examine(
  home: string,
  words: readonly string[] = [],
  command?: readonly [string, ...string[]],
): Promise<Examined> {
  const { code, stdout, stderr } = await runTalosProcess(
    ["--home", home, "--json", "doctor", ...words],
    { env: userOf(home), ...(command === undefined ? {} : { command }) },
  );
  return { code, findings: JSON.parse(stdout), stderr };
}

/** Returns the first finding of a check. */
function of({ findings, stderr }: Examined, check: string): Seen {
  return findings.find((one) => one.check === check) ??
    assert.fail(`nothing was found of ${check}; ${stderr}`);
}

/** Checks that `check` is the first to fail, and that the run ended with `code`. */
function failed(examined: Examined, check: string, code: number, fact: RegExp, fix: RegExp): void {
  const first = examined.findings.find(({ status }) => status === "fail");
  assert.equal(first?.check, check, JSON.stringify(examined.findings, null, 1));
  assert.match(first?.fact ?? "", fact);
  assert.match(first?.fix ?? "", fix);
  assert.equal(examined.code, code);
  assert.equal(JSON.parse(examined.stderr.trimEnd().split("\n").at(-1) ?? "").exit_status, code);
}

/** Returns `check: status` of everything that is not well. */
function unwell({ findings }: Examined): string[] {
  return findings.filter(({ status }) => status !== "ok").map(({ check, status }) =>
    `${check}: ${status}`
  );
}

/** A registry, a host that serves nothing yet, and an agent. */
async function scene(...args: readonly string[]) {
  const made = await DiscoveryScene.make(...args);
  return { made, host: await made.party("host"), agent: await made.party("agent") };
}

function serve(made: DiscoveryScene, host: Party, agent: Party, ...more: readonly string[]) {
  return made.host(host, ["--authorized-peer", agent.id, ...more]);
}

Deno.test("doctor finds nothing wrong where nothing is", async () => {
  const { made, host, agent } = await scene();
  await using _made = made;
  await using serving = await serve(made, host, agent);

  const there = await examine(agent.home, [host.id]);
  assert.deepEqual(unwell(there), ["client: warn"], JSON.stringify(there.findings, null, 1));
  assert.equal(there.code, 0);
  assert.match(of(there, "registry").fact, /^127\.0\.0\.1:\d+, chosen by talos register, answers/);
  assert.equal(of(there, "registry_key").fact, `${made.registryId}, as pinned`);
  assert.match(of(there, "registry_clock").fact, /^differs by \d\.\d s, the limit is 60 s$/);
  assert.equal(of(there, "peer").fact, `${host.id}, no contact of yours`);
  assert.equal(of(there, "peer_registered").fact, 'registered as "host"');
  assert.match(of(there, "service").fact, /^default, published \d+ s ago$/);
  assert.match(
    of(there, "address").fact,
    new RegExp(`^\\S+:${serving.port} answers in [\\d.]+ ms$`),
  );
  assert.match(of(there, "handshake").fact, /^z6Mk\S+ proved its key in [\d.]+ ms, /);
  assert.equal(of(there, "peer_version").fact, "it speaks protocol 1");
  assert.equal(of(there, "authorisation").fact, "this peer may use default");
  assert.match(of(there, "server").fact, /^\S+ \S+, \d+ tools?, began in .*, round trip /);

  const here = await examine(host.home);
  assert.deepEqual(unwell(here), ["client: skip"]);
  assert.match(
    of(here, "services").fact,
    new RegExp(`^default on port ${serving.port}, process ${serving.pid}, answers; registered at `),
  );
  assert.equal(of(here, "registration").fact, 'registered as "host", online');
});

Deno.test("doctor says that the peer is not registered", async () => {
  const { made, agent } = await scene();
  await using _made = made;
  const stranger = await made.party("stranger", false);
  const examined = await examine(agent.home, [stranger.id]);
  failed(
    examined,
    "peer_registered",
    3,
    /is not registered at 127\.0\.0\.1:/,
    new RegExp(`^on the host, make it known there: talos register --server ${made.server}`),
  );
  assert.equal(of(examined, "address").fact, "not asked: peer registered failed");
  assert.equal(of(examined, "server").fact, "not asked: peer registered failed");

  const unknown = await examine(agent.home, ["nobody"]);
  failed(unknown, "peer", 3, /nobody/, /talos .*contacts list/);
});

Deno.test("doctor says that the peer is registered, and away", async () => {
  const { made, host, agent } = await scene();
  await using _made = made;
  const examined = await examine(agent.home, [host.id]);
  failed(
    examined,
    "peer_online",
    4,
    /^away: .*, last seen \d+ s ago$/,
    /^on the host, see what runs, .*: talos status/,
  );
  assert.equal(of(examined, "peer_registered").status, "ok");
  assert.equal(of(examined, "service").fact, "not asked: peer online failed");
});

Deno.test("doctor says that the peer was killed, and that what it published leads nowhere", async () => {
  const { made, host, agent } = await scene();
  await using _made = made;
  await using serving = await serve(made, host, agent);
  const { port } = serving;
  serving.signal("SIGKILL");
  await serving.exited;
  // The registry notices at once, and still in its own time.
  const isOnline = async () =>
    (await made.json(agent, "peers")).find((one: { peer_id: string }) => one.peer_id === host.id)
      .online;
  while (await isOnline());
  const examined = await examine(agent.home, [host.id]);
  failed(examined, "peer_online", 4, /^away: /, /talos status/);
  const { status, fact } = of(examined, "address");
  assert.deepEqual([status, fact], [
    "fail",
    `Cannot connect to ${fact.split(" ")[3]} nothing listens there (connection refused)`,
  ]);
  assert.ok(fact.includes(`:${port}:`), fact);
  assert.equal(of(examined, "relay").fact, "not asked: the peer is not connected to the registry");
});

Deno.test("doctor says that what served this has ended while another process of the peer runs", async () => {
  const { made, host, agent } = await scene();
  await using _made = made;
  await using _other = await serve(made, host, agent, "--service", "notes");
  await using serving = await serve(made, host, agent);
  serving.signal("SIGKILL");
  await serving.exited;
  const examined = await examine(agent.home, [`${host.id}/default`]);
  failed(
    examined,
    "address",
    4,
    new RegExp(`:${serving.port}: nothing listens there`),
    /^on the host, see whether it serves and on which port: talos status/,
  );
  assert.equal(of(examined, "peer_online").status, "ok");
  assert.equal(of(examined, "relay").status, "fail");
});

Deno.test("doctor says that the registry is down, and still looks where the peer was", async () => {
  const { made, host, agent } = await scene();
  await using _made = made;
  await using _serving = await serve(made, host, agent);
  assert.equal((await examine(agent.home, [host.id])).code, 0);
  await made.killRegistry();
  const examined = await examine(agent.home, [host.id]);
  failed(
    examined,
    "registry",
    4,
    /^Cannot reach the registry 127\.0\.0\.1:\d+: nothing listens there/,
    /^see whether its port is open from here: nc -vz 127\.0\.0\.1 \d+; .*--data-dir/,
  );
  assert.equal(of(examined, "peer_registered").fact, "not asked: registry failed");
  assert.equal(of(examined, "authorisation").status, "ok");
  assert.equal(of(examined, "server").status, "ok");
});

Deno.test("doctor says that the registry has another key", async () => {
  const { made, agent } = await scene();
  await using _made = made;
  await made.killRegistry();
  await Deno.remove(`${made.dataDirectory}/wallet.json`);
  await made.startRegistry();
  failed(
    await examine(agent.home),
    "registry_key",
    5,
    /^The registry \S+ has another key than before: it was z6Mk\S+, it is z6Mk/,
    /forget the old one: talos .*forget-registry 127\.0\.0\.1:/,
  );
});

Deno.test("doctor says that the registry is private", async () => {
  await using sandbox = await Sandbox.make();
  await Deno.writeTextFile(`${sandbox.folder}/token`, "a-token-of-some-length", { mode: 0o600 });
  await using made = await DiscoveryScene.make("--join-token-file", `${sandbox.folder}/token`);
  const agent = await made.party("agent", false);
  failed(
    await examine(agent.home, ["--server", made.server]),
    "registry",
    6,
    /it is private and wants a join token/,
    /--join-token-file FILE/,
  );
});

Deno.test("doctor says that this peer is not authorised", async () => {
  const { made, host, agent } = await scene();
  await using _made = made;
  const other = await made.party("other");
  await using _serving = await serve(made, host, other);
  const examined = await examine(agent.home, [`${host.id}/default`]);
  failed(
    examined,
    "authorisation",
    6,
    /not authorised/,
    new RegExp(`^on the host, let this peer in: talos access grant ${agent.id}/default`),
  );
  assert.equal(of(examined, "server").fact, "not asked: authorisation failed");
});

Deno.test("doctor says that the service is another", async () => {
  const { made, host, agent } = await scene();
  await using _made = made;
  await using _serving = await serve(made, host, agent, "--service", "notes");
  failed(
    await examine(agent.home, [`${host.id}/files`]),
    "service",
    3,
    /^Cannot use "files" of z6Mk\S+: it serves "notes"$/,
    /talos .*mcp-connect z6Mk\S+\/notes/,
  );
});

Deno.test("doctor says that nothing listens at the address, or something that is silent", async () => {
  await using sandbox = await Sandbox.make();
  const [host, agent] = [await sandbox.party("host"), await sandbox.party("agent")];
  using silent = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const port = closed.addr.port;
  closed.close();
  failed(
    await examine(agent.home, [`${host.id}@127.0.0.1:${port}`]),
    "address",
    4,
    new RegExp(`^Cannot connect to 127\\.0\\.0\\.1:${port}: nothing listens there`),
    /^on the host, see whether it serves and on which port: talos status; .* nc -vz 127\.0\.0\.1/,
  );
  failed(
    await examine(agent.home, [`${host.id}@127.0.0.1:${silent.addr.port}`], clockCommand(0, 5)),
    "handshake",
    4,
    /something accepts the connection and says nothing for 4 s$/,
    /^on the host, see whether it serves/,
  );
});

Deno.test("doctor says that another peer answers at the address", async () => {
  await using there = await tunnel();
  const other = await there.sandbox.party("other");
  const target = `${other.id}@127.0.0.1:${there.host.port}`;
  failed(
    await examine(there.agent.home, [target]),
    "handshake",
    5,
    /./,
    /may belong to another peer or program: on the host, compare Peer ID and port: talos status/,
  );
});

Deno.test("doctor warns of a clock that is off, and fails where the host insists", async () => {
  const { made, host, agent } = await scene();
  await using _made = made;
  {
    await using _serving = await serve(made, host, agent);
    const examined = await examine(agent.home, [host.id], clockCommand(75, 1));
    assert.equal(examined.code, 0);
    assert.deepEqual(unwell(examined), [
      "registry_clock: warn",
      "peer_clock: warn",
      "client: warn",
    ]);
    const { fact, fix } = of(examined, "peer_clock");
    assert.match(
      fact,
      /^clocks differ by 7[45]\.\d s, the limit is 60 s: the peer's is behind this/,
    );
    assert.match(fix ?? "", /date -u$/);
  }
  await using _strict = await serve(made, host, agent, "--strict-clock");
  failed(
    await examine(agent.home, [host.id], clockCommand(75, 1)),
    "peer_clock",
    5,
    /differ by 75 s, the limit is 60 s/,
    /--strict-clock/,
  );
});

Deno.test({
  name: "doctor says that others can read the wallet, or that there is none",
  ignore: !POSIX,
  fn: async () => {
    await using sandbox = await Sandbox.make();
    const { home } = await sandbox.party("agent");
    await Deno.chmod(`${home}/wallet.json`, 0o644);
    const open = await examine(home);
    failed(open, "wallet", 7, /others can read it \(mode 0644\)/, /chmod 600 .*wallet\.json/);
    assert.equal(of(open, "registry").fact, "not asked: wallet failed");

    await Deno.remove(`${home}/wallet.json`);
    failed(await examine(home), "wallet", 1, /^There is no wallet/, /talos .*init --name NAME/);
    const nowhere = await examine(`${sandbox.folder}/nowhere`);
    failed(nowhere, "home", 1, /is not there/, /init --name NAME/);
  },
});

Deno.test("doctor says that a file of ours is damaged", async () => {
  await using sandbox = await Sandbox.make();
  const { home } = await sandbox.party("agent");
  await Deno.writeTextFile(`${home}/access.json`, "{", { mode: 0o600 });
  failed(await examine(home), "access", 7, /access\.json/, /./);
  await Deno.remove(`${home}/access.json`);
  assert.equal((await examine(home)).code, 0);
  await Deno.writeTextFile(`${home}/talos.db/data.sqlite`, "no database at all".repeat(100));
  failed(await examine(home), "database", 7, /file is not a database/, /begin a new one: mv /);
});

Deno.test("doctor says that the server dies at once, with its last words", async () => {
  await using there = await tunnel({
    command: () => fixture("puppet_server", "--exit-first", "3"),
  });
  failed(
    await examine(there.agent.home, [there.target]),
    "server",
    1,
    /exit status 3\); it said: puppet: cannot start$/,
    /^on the host, see the server's own words: talos logs/,
  );
});

Deno.test({
  name: "doctor says that the server does not answer, and waits no longer than it says",
  ignore: !POSIX,
  fn: async () => {
    await using there = await tunnel({
      command: () => ["sh", "-c", "while read -r l; do :; done"],
    });
    failed(
      await examine(there.agent.home, [there.target], clockCommand(0, 20)),
      "server",
      1,
      /^no answer in 30 s$/,
      /^on the host, see the server's own words: talos logs; .* by hand/,
    );
  },
});

Deno.test({
  name: "doctor says that a process of this home does not answer",
  ignore: !POSIX,
  fn: async () => {
    await using there = await tunnel();
    const { pid, port } = there.host;
    there.host.signal("SIGSTOP");
    try {
      failed(
        await examine(there.hosting.home, [], clockCommand(0, 4)),
        "services",
        4,
        new RegExp(`^default on port ${port}, process ${pid}, does not answer`),
        new RegExp(`^stop it, and start it again: kill ${pid}$`),
      );
    } finally {
      there.host.signal("SIGCONT");
    }
  },
});

Deno.test({
  name: "doctor finds the entries of MCP clients, and what they start that is gone",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using sandbox = await Sandbox.make();
    const home = `${sandbox.folder}/agent`;
    const id = await initHome(home, "agent");
    const file = `${home}-user/.cursor/mcp.json`;
    await Deno.mkdir(`${home}-user/.cursor`, { recursive: true });
    const entry = (command: string) => ({ command, args: ["mcp-connect", id] });
    const write = (command: string) =>
      Deno.writeTextFile(file, JSON.stringify({ mcpServers: { "talos-a": entry(command) } }));
    await write(Deno.execPath());
    const well = await examine(home);
    assert.equal(of(well, "client").fact, `Cursor has "talos-a" in ${file}`);
    assert.equal(well.code, 0);
    await write("/nowhere/talos");
    failed(
      await examine(home),
      "client",
      1,
      /^Cursor has "talos-a", which starts \/nowhere\/talos: that is not there$/,
      new RegExp(`talos .*mcp-install ${id} --client cursor$`),
    );
    await Deno.writeTextFile(file, "{");
    const broken = await examine(home);
    assert.deepEqual(unwell(broken), [
      ...["registry", "registry_key", "registry_clock", "registration"].map((one) =>
        `${one}: skip`
      ),
      "client: warn",
      "client: skip",
    ]);
  },
});

Deno.test("doctor prints a line for each check, and its fixes below", async () => {
  await using there = await tunnel();
  await using _other = await startHost(there.agent.home, [
    ...[
      "--authorized-peer",
      there.hosting.id,
      "--service",
      "more",
      "--",
      ...fixture("puppet_server"),
    ],
  ]);
  const { code, stdout, stderr } = await runTalosProcess(
    ["--home", there.agent.home, "doctor", there.target],
    { env: userOf(there.agent.home) },
  );
  assert.equal(code, 0, stderr);
  const lines = stdout.trimEnd().split("\n");
  assert.match(lines[0] ?? "", /^ok {4}version {10}talos \d/);
  assert.ok(
    lines.some((line) =>
      /^ok {4}services {9}more on port \d+, process \d+, answers; not/.test(line)
    ),
  );
  assert.ok(lines.some((line) => /^skip {2}relay {12}not asked: an address was given$/.test(line)));
  assert.ok(lines.some((line) => /^ {6}fix: write one: talos .*mcp-install z6Mk/.test(line)));
});
