/**
 * ssh to a local sshd, with a new connection for each agent and over one that a master keeps open.
 *
 * Each contender has an sshd of its own on a free port of 127.0.0.1, with keys and a configuration in a
 * temporary folder, run by the current user. Everything else is what ssh does by default.
 */

import {
  type Contender,
  endProgram,
  findProgram,
  freePort,
  runToEnd,
  type ServerCommand,
  Unavailable,
  untilSaid,
} from "./contender.ts";

/** Where sshd is looked for besides `$PATH`: it wants to be started by its full path. */
const SSHD_PLACES = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/usr/lib/ssh/sshd"];

/** Where sshd, run by root, locks itself into; a package's start script makes it. */
const PRIVILEGE_SEPARATION_FOLDER = "/run/sshd";

interface Sshd extends AsyncDisposable {
  readonly pid: number;
  /** What every ssh to it begins with. */
  readonly ssh: readonly [string, ...string[]];
  readonly folder: string;
}

/** ssh with a new connection. Throws Unavailable where OpenSSH is not installed. */
export async function sshContender(server: ServerCommand): Promise<Contender> {
  const sshd = await startSshd();
  return {
    name: "ssh",
    label: "ssh",
    command: [...sshd.ssh, "127.0.0.1", remoteCommand(server)],
    processes: [sshd.pid],
    [Symbol.asyncDispose]: () => sshd[Symbol.asyncDispose](),
  };
}

/** ssh over a connection that a master holds. Throws Unavailable where OpenSSH is not installed. */
export async function sshMasterContender(server: ServerCommand): Promise<Contender> {
  await using stack = new AsyncDisposableStack();
  const sshd = stack.use(await startSshd());
  const socket = `${sshd.folder}/master`;
  const [program, ...args] = sshd.ssh;
  const master = new Deno.Command(program, {
    // The command's output tells that the connection stands; `cat` then waits for our end of stdin.
    args: [...args, "-M", "-S", socket, "127.0.0.1", "echo ready; exec cat"],
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  stack.defer(async () => {
    await master.stdin.close().catch(() => {}); // it has ended already
    await master.stdout.cancel();
    await master.status;
  });
  const reader = master.stdout.getReader();
  const { done } = await reader.read();
  reader.releaseLock();
  if (done) throw new Unavailable("the ssh master ended at once");
  const disposables = stack.move();
  return {
    name: "ssh-master",
    label: "ssh, ControlMaster",
    command: [...sshd.ssh, "-S", socket, "127.0.0.1", remoteCommand(server)],
    processes: [sshd.pid, master.pid],
    [Symbol.asyncDispose]: () => disposables[Symbol.asyncDispose](),
  };
}

async function startSshd(): Promise<Sshd> {
  if (Deno.build.os === "windows") throw new Unavailable("not set up for Windows");
  const [program, ssh, keygen] = [await findSshd(), ...await programs("ssh", "ssh-keygen")];
  await using stack = new AsyncDisposableStack();
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-bench-ssh-" }));
  stack.defer(() => Deno.remove(folder, { recursive: true }));
  stack.use(await privilegeSeparationFolder());
  for (const name of ["host_key", "user_key"]) {
    await runToEnd(keygen!, ["-q", "-t", "ed25519", "-N", "", "-f", `${folder}/${name}`]);
  }
  await Deno.copyFile(`${folder}/user_key.pub`, `${folder}/authorized_keys`);
  const port = freePort();
  await Deno.writeTextFile(`${folder}/sshd_config`, configuration(folder, port));
  const child = new Deno.Command(program, {
    args: ["-D", "-e", "-f", `${folder}/sshd_config`],
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  stack.defer(() => endProgram(child));
  await untilSaid("sshd", child.stderr, /Server listening/);
  const disposables = stack.move();
  return {
    pid: child.pid,
    folder,
    ssh: [ssh!, ...clientOptions(folder, port)],
    [Symbol.asyncDispose]: () => disposables[Symbol.asyncDispose](),
  };
}

async function findSshd(): Promise<string> {
  for (const path of SSHD_PLACES) {
    if (await Deno.stat(path).then(() => true, () => false)) return path;
  }
  const [found] = await programs("sshd");
  return found!;
}

async function programs(...names: readonly string[]): Promise<string[]> {
  return await Promise.all(names.map(async (name) => {
    const path = await findProgram(name);
    if (path === null) throw new Unavailable(`${name} is not installed`);
    return path;
  }));
}

/** Makes the folder that sshd demands of root, where nobody has made it, and removes it afterwards. */
async function privilegeSeparationFolder(): Promise<AsyncDisposable> {
  const made = Deno.uid() === 0 &&
    await Deno.mkdir(PRIVILEGE_SEPARATION_FOLDER, { mode: 0o755 }).then(() => true, () => false);
  return {
    async [Symbol.asyncDispose]() {
      // Another sshd of ours may have made it and may be gone with it already.
      if (made) await Deno.remove(PRIVILEGE_SEPARATION_FOLDER).catch(() => {});
    },
  };
}

function configuration(folder: string, port: number): string {
  return [
    `Port ${port}`,
    "ListenAddress 127.0.0.1",
    `HostKey ${folder}/host_key`,
    `AuthorizedKeysFile ${folder}/authorized_keys`,
    "PidFile none",
    "StrictModes no", // the temporary folder lies where others may write
    "PermitRootLogin prohibit-password",
    "PasswordAuthentication no",
    "KbdInteractiveAuthentication no",
    "LogLevel INFO",
    "",
  ].join("\n");
}

function clientOptions(folder: string, port: number): string[] {
  return [
    "-F",
    "none",
    "-T",
    "-p",
    String(port),
    "-i",
    `${folder}/user_key`,
    ...[
      "IdentitiesOnly=yes",
      "BatchMode=yes",
      "StrictHostKeyChecking=no",
      `UserKnownHostsFile=${folder}/known_hosts`,
      "LogLevel=ERROR",
    ].flatMap((option) => ["-o", option]),
  ];
}

/** The server's command as a shell reads it, with what it needs to find its modules. */
function remoteCommand(server: ServerCommand): string {
  const cache = Deno.env.get("DENO_DIR");
  const words = cache === undefined ? server : ["env", `DENO_DIR=${cache}`, ...server];
  return `exec ${words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" ")}`;
}
