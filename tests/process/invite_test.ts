/** Tickets between real processes: two commands on each of two bare machines, and everything that goes wrong. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

import {
  initHome,
  type RunningHost,
  runTalosProcess,
  startHost,
  startReady,
  startServer,
  TALOS,
} from "../../scripts/talos_process.ts";
import { fixture, type Party, RawAgent, soon } from "./mcp_tunnel.ts";

const PUPPET = fixture("puppet_server");
const WITH_CLOCK: readonly [string, ...string[]] = [
  Deno.execPath(),
  "run",
  "--allow-all",
  "--no-check",
  `--config=${fileURLToPath(new URL("../../deno.json", import.meta.url))}`,
  fileURLToPath(new URL("talos_with_clock.ts", import.meta.url)),
];

/** A folder for homes that nobody has made yet. */
class Machines implements AsyncDisposable {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async make(): Promise<Machines> {
    return new Machines(await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-test-" })));
  }

  home(name: string): string {
    return `${this.folder}/${name}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** Runs a command with `--json` and returns its result. Fails where it fails. */
// deno-lint-ignore no-explicit-any -- a test reads what it expects and fails otherwise
async function talos(home: string, ...args: readonly string[]): Promise<any> {
  const { code, stdout, stderr } = await runTalosProcess(["--home", home, "--json", ...args]);
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  return JSON.parse(stdout);
}

/** Runs a command that must fail, and returns how. */
async function refused(
  home: string,
  args: readonly string[],
  command?: readonly [string, ...string[]],
): Promise<{ readonly status: number; readonly error: string; readonly message: string }> {
  const { code, stderr } = await runTalosProcess(
    [...(command === undefined ? [] : ["172800", "1"]), "--home", home, "--json", ...args],
    command === undefined ? {} : { command },
  );
  const line = stderr.trim().split("\n").find((one) => one.includes('"exit_status"'));
  const { error, message, exit_status } = JSON.parse(line ?? assert.fail(`no error: ${stderr}`));
  assert.equal(exit_status, code);
  return { status: code, error, message };
}

/** Asks what `target` leads to for one thing. */
async function firstCall(home: string, target: string): Promise<void> {
  const id = "z6Mk" as Party["id"]; // not looked at
  await using agent = RawAgent.start({ home, id }, target);
  const reply = await agent.ask(1, "puppet/facts");
  assert.ok(reply.result !== undefined, JSON.stringify(reply));
}

const serve = (home: string, ...args: readonly string[]): Promise<RunningHost> =>
  startHost(home, ["--host", "127.0.0.1", ...args, "--", ...PUPPET]);

Deno.test("talos invite and join lead from two bare machines to the first call: two commands each", async () => {
  await using machines = await Machines.make();
  const [linux, mac] = [machines.home("linux"), machines.home("mac")];
  await using host = await serve(linux);
  const { ticket, is_served } = await talos(linux, "invite");
  assert.match(ticket, /^talos:[A-Za-z0-9_-]{20,193}$/);
  assert.equal(is_served, true);

  const joined = await talos(mac, "join", ticket, "--name", "ClaudeMac");
  assert.equal(joined.peer_id, host.ready["peer_id"]);
  await firstCall(mac, joined.target);

  await soon(host.logged("a ticket was used"), "the host's log");
  const used = host.log().trim().split("\n").map((line) => JSON.parse(line))
    .find(({ event }) => String(event).startsWith("a ticket was used"));
  assert.equal(used.words, joined.words.join(" "), "both ends show the same words");
  assert.equal(used.name, "ClaudeMac");
  const { grants, invites } = await talos(linux, "access", "list");
  assert.deepEqual(
    grants.map((
      { service, origin, expires }: Record<string, unknown>,
    ) => [service, origin, expires]),
    [["default", "invite", null]],
  );
  assert.deepEqual(invites, [], "it is used up");
  const [guest] = await talos(linux, "contacts", "list");
  assert.equal(guest.name, "ClaudeMac");
});

Deno.test("talos join makes what it says of itself: no address, no registry, a name alone", async () => {
  await using machines = await Machines.make();
  const [linux, mac] = [machines.home("linux"), machines.home("mac")];
  await initHome(linux, "Linux Box");
  await using _host = await startHost(linux, ["--service", "notes", "--", ...PUPPET]); // all addresses
  const { ticket, service } = await talos(linux, "invite", "--name", "team");
  assert.equal(service, "notes", "the one that runs");
  const joined = await talos(mac, "join", ticket);
  assert.equal(joined.called, "team");
  assert.match(joined.target, /^Linux-Box\/notes(?:@127\.0\.0\.1:\d+)?$/);
  await firstCall(mac, joined.target);
});

Deno.test("talos join says why not: used, withdrawn, unknown, of this machine, by name", async () => {
  await using machines = await Machines.make();
  const linux = machines.home("linux");
  await using host = await serve(linux);
  const first = await talos(linux, "invite");
  await talos(machines.home("anna"), "join", first.ticket, "--name", "anna");
  const bob = machines.home("bob");
  const used = await refused(bob, ["join", first.ticket, "--name", "bob"]);
  assert.deepEqual(used, {
    status: 6,
    error: "invite_used",
    message: "Cannot join: the ticket was used already, and is good for once",
  });
  const again = await runTalosProcess(["--home", machines.home("anna"), "join", "-"], {
    stdin: `${first.ticket}\n`,
  });
  assert.equal(again.code, 0, `the same peer: nothing changes; ${again.stderr}`);

  const second = await talos(linux, "invite", "--expires", "7d");
  const { invites } = await talos(linux, "access", "list");
  assert.deepEqual(invites.map(({ invite }: { invite: string }) => invite), [second.invite]);
  await talos(linux, "access", "revoke", second.invite);
  const withdrawn = await refused(bob, ["join", second.ticket]);
  assert.deepEqual([withdrawn.status, withdrawn.error], [6, "invite_revoked"]);
  assert.deepEqual(
    await refused(linux, ["access", "revoke", "invite-000000000000"]),
    {
      status: 3,
      error: "no_such_invite",
      message: "Cannot withdraw invite-000000000000: there is no such invite",
    },
  );

  const third = await talos(linux, "invite");
  await Deno.remove(`${linux}/invites.json`);
  const unknown = await refused(bob, ["join", third.ticket]);
  assert.deepEqual([unknown.status, unknown.error], [6, "invite_unknown"]);
  await soon(host.logged("a ticket was refused", 3), "the host's log");

  const own = await refused(linux, ["join", third.ticket]);
  assert.deepEqual([own.status, own.error], [2, "usage"]);
  const named = await refused(bob, ["join", third.ticket, "--name", "robert"]);
  assert.match(named.message, /^Cannot call this machine "robert": it is called "bob" already$/);
});

Deno.test("talos join refuses an altered ticket before it makes anything", async () => {
  await using machines = await Machines.make();
  const { ticket } = await talos(machines.home("linux"), "invite");
  const mac = machines.home("mac");
  for (const text of [ticket.slice(0, -1), ticket.replace(/.$/, "~"), `x${ticket}`, "talos:"]) {
    const { status, error } = await refused(mac, ["join", text]);
    assert.deepEqual([status, error], [2, "ticket_invalid"], text);
  }
  await assert.rejects(Deno.stat(mac), "no home was made");
});

Deno.test("talos join says that a ticket has expired, by its own clock and by the host's", async () => {
  await using machines = await Machines.make();
  const [linux, mac] = [machines.home("linux"), machines.home("mac")];
  {
    const { ticket } = await talos(linux, "invite", "--expires", "24h");
    const here = await refused(mac, ["join", ticket], WITH_CLOCK);
    assert.deepEqual([here.status, here.error], [6, "invite_expired"]);
    await assert.rejects(Deno.stat(mac), "no home was made");
  }
  await using _host = await serve(linux);
  const { ticket } = await talos(linux, "invite", "--expires", "24h");
  const path = `${linux}/invites.json`;
  const text = await Deno.readTextFile(path);
  const past = text.replace(/"expires": "[^"]+"/g, '"expires": "2020-01-01T00:00:00.000Z"');
  await Deno.writeTextFile(path, past, { mode: 0o600 });
  // What the ticket says does not count: the host decides by what it noted.
  const { invites } = await talos(linux, "access", "list");
  assert.deepEqual(invites, []);
  const there = await refused(mac, ["join", ticket]);
  assert.deepEqual([there.status, there.error], [6, "invite_expired"]);
});

Deno.test("two who race for one use of a ticket: one is let in", async () => {
  await using machines = await Machines.make();
  const linux = machines.home("linux");
  await using _host = await serve(linux);
  const { ticket } = await talos(linux, "invite");
  const outcomes = await Promise.all(["anna", "bob", "carol"].map(async (name) => {
    const { code } = await runTalosProcess(["--home", machines.home(name), "join", ticket]);
    return code;
  }));
  assert.deepEqual(outcomes.sort(), [0, 6, 6]);
  const { grants } = await talos(linux, "access", "list");
  assert.equal(grants.length, 1);
});

Deno.test("a ticket outlives its host's process, and works for what began after it", async () => {
  await using machines = await Machines.make();
  const [linux, mac] = [machines.home("linux"), machines.home("mac")];
  let port: number;
  let ticket: string;
  {
    await using host = await serve(linux);
    port = host.port;
    ({ ticket } = await talos(linux, "invite"));
  }
  const away = await refused(mac, ["join", ticket, "--name", "mac"]);
  assert.deepEqual([away.status, away.error], [4, "peer_unreachable"]);
  await using _host = await serve(linux, "--port", String(port));
  const joined = await talos(mac, "join", ticket, "--name", "mac");
  await firstCall(mac, joined.target);
});

Deno.test("a host that is guessed at stops looking, and says so in its log", async () => {
  await using machines = await Machines.make();
  const linux = machines.home("linux");
  await using host = await serve(linux);
  const tickets: string[] = [];
  for (let count = 0; count < 6; count++) tickets.push((await talos(linux, "invite")).ticket);
  await Deno.remove(`${linux}/invites.json`); // as if somebody had made them up
  const bob = machines.home("bob");
  await initHome(bob, "bob");
  const codes: string[] = [];
  for (const ticket of tickets) codes.push((await refused(bob, ["join", ticket])).error);
  assert.deepEqual(codes.slice(0, 5), Array(5).fill("invite_unknown"));
  assert.equal(codes[5], "invite_limited");
  assert.equal(host.log().split("a ticket was refused").length - 1, 5);
});

Deno.test("a ticket brings the private registry, its key and its token with it", async () => {
  await using machines = await Machines.make();
  const [linux, mac] = [machines.home("linux"), machines.home("mac")];
  const token = `${machines.folder}/token`;
  await Deno.writeTextFile(token, "correct-horse-battery-staple\n", { mode: 0o600 });
  await using registry = await startServer(machines.home("registry"), [
    "--join-token-file",
    token,
    "--host",
    "127.0.0.1",
  ]);
  const place = `127.0.0.1:${registry.port}`;
  await initHome(linux, "Linux Box");
  await talos(linux, "register", "--server", place, "--join-token-file", token);
  await using host = await serve(linux);
  await soon(host.logged('"registered"'), "the registration");
  const invited = await talos(linux, "invite");
  assert.equal(invited.has_join_token, true);
  assert.equal(invited.registry, `${registry.ready["peer_id"]}@${place}`);
  assert.ok(invited.ticket.length < 200, `${invited.ticket.length} characters`);

  const joined = await talos(mac, "join", invited.ticket, "--name", "mac");
  assert.equal(joined.target, "Linux-Box");
  const listed = await talos(mac, "peers");
  assert.deepEqual(listed.map(({ name }: { name: string }) => name), ["Linux Box"]);
  await firstCall(mac, "Linux-Box");
});

Deno.test("a ticket leads to a host that opens no port, through the registry's relay", async () => {
  await using machines = await Machines.make();
  const [linux, mac] = [machines.home("linux"), machines.home("mac")];
  await using registry = await startServer(machines.home("registry"), ["--host", "127.0.0.1"]);
  await initHome(linux, "Linux Box");
  await talos(linux, "register", "--server", `127.0.0.1:${registry.port}`);
  await using host = await startReady([
    ...TALOS,
    ...["--home", linux, "--json", "mcp-serve", "--no-listen", "--", ...PUPPET],
  ]);
  await soon(host.logged('"registered"'), "the registration");

  const nobody = machines.home("nobody");
  await initHome(nobody, "nobody");
  const invited = await talos(linux, "invite");
  assert.deepEqual(invited.addresses, []);
  const joined = await talos(mac, "join", invited.ticket, "--name", "mac");
  assert.match(joined.path, /^relay /);
  await firstCall(mac, joined.target);
});

Deno.test("mcp-serve --with-registry: the host's registry and server in one process, and a ticket for both", async () => {
  await using machines = await Machines.make();
  const [linux, mac] = [machines.home("linux"), machines.home("mac")];
  const start = (...args: string[]) => serve(linux, "--with-registry", ...args);
  let key: unknown;
  let port: number;
  let name: string;
  {
    await using host = await start("--registry-port", "0");
    await soon(host.logged('"registered"'), "the registration");
    const own = host.ready["registry"] as { peer_id: string; port: number };
    ({ peer_id: key, port } = own);
    const invited = await talos(linux, "invite");
    assert.equal(invited.registry, `${key}@127.0.0.1:${port}`);
    assert.equal(invited.has_join_token, true);
    const joined = await talos(mac, "join", invited.ticket, "--name", "mac");
    name = joined.target;
    await firstCall(mac, name);
    const [listed] = await talos(mac, "peers");
    assert.equal(listed.peer_id, host.ready["peer_id"]);

    const stranger = machines.home("stranger");
    await initHome(stranger, "stranger");
    const { status, error } = await refused(stranger, ["peers", "--server", `127.0.0.1:${port}`]);
    assert.deepEqual([status, error], [6, "token_required"]);
  }
  await using again = await start("--registry-port", String(port));
  const own = again.ready["registry"] as { peer_id: string };
  assert.equal(own.peer_id, key, "it is the same registry");
  await firstCall(mac, name); // the host has another port now: the registry knows
});

Deno.test("mcp-serve --with-registry says what it cannot be used with", async () => {
  await using machines = await Machines.make();
  const linux = machines.home("linux");
  const args = ["mcp-serve", "--port", "0", "--host", "127.0.0.1"];
  const command = ["--", ...PUPPET];
  const both = await refused(linux, [
    ...args,
    "--with-registry",
    "--server",
    "r.example",
    ...command,
  ]);
  assert.deepEqual([both.status, both.error], [2, "usage"]);
  const alone = await refused(linux, [...args, "--registry-port", "1", ...command]);
  assert.equal(alone.message, "Cannot use --registry-port without --with-registry");
});

Deno.test("talos join --client writes the client's configuration and tries it", async () => {
  await using machines = await Machines.make();
  const [linux, mac] = [machines.home("linux"), machines.home("mac")];
  await using _host = await serve(linux);
  const { ticket } = await talos(linux, "invite");
  const user = machines.home("user");
  await Deno.mkdir(`${user}/.cursor`, { recursive: true });
  const bad = await refused(mac, ["join", ticket, "--client", "emacs"]);
  assert.deepEqual([bad.status, bad.error], [2, "usage"], "before the ticket is used up");
  const { code, stdout, stderr } = await runTalosProcess(
    ["--home", mac, "--json", "join", ticket, "--name", "mac", "--client", "cursor", "--no-verify"],
    { env: { HOME: user, DENO_DIR: denoDirectory() } },
  );
  assert.equal(code, 0, stderr);
  const [joined, installed] = stdout.trim().split("\n").map((line) => JSON.parse(line));
  assert.equal(joined.event, "joined");
  assert.equal(installed.action, "added");
  assert.ok(JSON.stringify(installed.entry).includes(joined.peer_id));
  const written = JSON.parse(await Deno.readTextFile(`${user}/.cursor/mcp.json`));
  assert.equal(Object.keys(written.mcpServers).length, 1);
});

/** Returns Deno's cache, which does not move with `$HOME`. */
function denoDirectory(): string {
  const { stdout } = new Deno.Command(Deno.execPath(), { args: ["info", "--json"] }).outputSync();
  return JSON.parse(new TextDecoder().decode(stdout)).denoDir;
}
