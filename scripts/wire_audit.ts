/**
 * The audit of the wire: plants secrets in everything that two peers and a registry say to each other, both
 * directly and through the registry's relay, records the ports of the peer and of the registry, and looks
 * for them. None may be there. A control run
 * sends the same over a plain pipe, and must find every one of them: so the search is not blind.
 *
 *     deno run -A scripts/wire_audit.ts [--secrets N] [--recorder tcpdump|proxy]
 */

// deno-lint-ignore-file no-console -- printing is what this script is for.

import { parseArgs } from "node:util";
import { FILESYSTEM_SERVER, prepareServer } from "./mcp_servers.ts";
import { initHome, runTalosProcess, startHost, startServer, TALOS } from "./talos_process.ts";
import { PROXY, TCPDUMP, whyNoTcpdump, type WireRecorder } from "./wire_recorder.ts";

/** What is planted, by where it is said. */
export interface Secrets {
  /** What the host calls itself: told to the registry. */
  readonly hostName: string;
  /** What the agent calls itself: the same. */
  readonly agentName: string;
  /** What the shared server is called: told to the registry, and to the host. */
  readonly service: string;
  /** What opens the registry: told to the registry. */
  readonly token: string;
  /** Names and contents of files: told by the agent to the host, and back. */
  readonly files: readonly string[];
}

/** What was found. */
export interface Finding {
  /** Where was looked. */
  readonly where: string;
  /** How many of the secrets are there in plain text. */
  readonly found: number;
  /** How much was recorded, in bytes. */
  readonly bytes: number;
}

/** What an audit came to. */
export interface Audit {
  /** How many secrets were planted. */
  readonly planted: number;
  /** The plain pipe: all must be found. */
  readonly control: Finding;
  /** The ports of Talos: none may be found. */
  readonly talos: readonly Finding[];
}

const LEAST_SECRETS = 6;

/** Runs the control and the audit with `count` secrets in a temporary folder. */
export async function auditWire(count: number, recorder: WireRecorder): Promise<Audit> {
  const folder = await Deno.realPath(await Deno.makeTempDir({ prefix: "talos-audit-" }));
  try {
    const secrets = makeSecrets(count);
    const server = await prepareServer(FILESYSTEM_SERVER);
    return {
      planted: count,
      control: await auditPlainPipe(secrets, server, `${folder}/plain`, recorder),
      talos: await auditTalos(secrets, server, folder, recorder),
    };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function makeSecrets(count: number): Secrets {
  // Letters and digits, so that none is written otherwise in JSON, in a path or in a service's name.
  const secret = () => `secret${crypto.randomUUID().replaceAll("-", "")}`;
  const files = Array.from({ length: count - 4 }, secret);
  return { hostName: secret(), agentName: secret(), service: secret(), token: secret(), files };
}

async function auditTalos(
  secrets: Secrets,
  server: readonly string[],
  folder: string,
  recorder: WireRecorder,
): Promise<Finding[]> {
  const [hostHome, agentHome, token] = [`${folder}/host`, `${folder}/agent`, `${folder}/token`];
  await Deno.writeTextFile(token, secrets.token, { mode: 0o600 });
  const host = await initHome(hostHome, secrets.hostName);
  const agent = await initHome(agentHome, secrets.agentName);
  await using registry = await startServer(`${folder}/registry`, ["--join-token-file", token]);
  const registryPort = await recorder.record(registry.port);
  const at = ["--server", `127.0.0.1:${registryPort.port}`, "--join-token-file", token];
  const files = `${folder}/files`;
  await Deno.mkdir(files);
  await using serving = await startHost(hostHome, [
    ...["--authorized-peer", agent, "--service", secrets.service, ...at, "--", ...server, files],
  ]);
  await serving.logged('"registered"');
  const peerPort = await recorder.record(serving.port);

  const { code, stdout, stderr } = await runTalosProcess([
    ...["--home", agentHome, "register", ...at],
  ]);
  if (code !== 0) throw new Error(`talos register failed: ${stdout}${stderr}`);
  const listed = await runTalosProcess(["--home", agentHome, "peers", ...at]);
  insist(listed.stdout.includes(secrets.hostName), "the registry tells the host's name");
  insist(listed.stdout.includes(secrets.service), "the registry tells the host's service");
  const [program, ...before] = TALOS;
  const use = (...target: readonly string[]) =>
    useChild(
      new Deno.Command(program, {
        args: [...before, "--home", agentHome, "mcp-connect", ...target],
        stdin: "piped",
        stdout: "piped",
        stderr: "inherit",
      }),
      (lines) => useFiles(lines, files, secrets.files),
    );
  const service = `${host}/${secrets.service}`;
  await use(`${service}@127.0.0.1:${peerPort.port}`);
  await use(service, "--via", "relay", ...at);
  return [
    await finding("the peers' port", "Talos", secrets, await peerPort.stop()),
    await finding("the registry's port and its relay", "Talos", secrets, await registryPort.stop()),
  ];
}

/** The same over TCP without Talos: first what a registry would be told, then the MCP server's lines. */
async function auditPlainPipe(
  secrets: Secrets,
  server: readonly string[],
  files: string,
  recorder: WireRecorder,
): Promise<Finding> {
  await Deno.mkdir(files);
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = servePlainly(listener, [...server, files]);
  const recorded = await recorder.record(listener.addr.port);
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: recorded.port });
  const { hostName, agentName, service, token } = secrets;
  const lines = new Lines({
    chunks: chunksOf(connection),
    write: (bytes) => writeAll(connection, bytes),
    end: () => connection.closeWrite(),
  });
  await lines.write(JSON.stringify({ hostName, agentName, service, token }));
  await useFiles(lines, files, secrets.files);
  await lines.close();
  await serving;
  return finding("a plain pipe", "plain", secrets, await recorded.stop());
}

/** Gives the first connection to a child of its own, without the first line. */
async function servePlainly(listener: Deno.Listener, argv: readonly string[]): Promise<void> {
  using connection = await listener.accept();
  const [program = "", ...args] = argv;
  const child = new Deno.Command(program, {
    args,
    stdin: "piped",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const towardsChild = async () => {
    const stdin = child.stdin.getWriter();
    let first = true;
    for await (const chunk of chunksOf(connection)) {
      await stdin.write(first ? chunk.slice(chunk.indexOf(0x0a) + 1) : chunk); // a line is one chunk
      first = false;
    }
    await stdin.close();
  };
  const towardsClient = async () => {
    for await (const chunk of child.stdout) await writeAll(connection, chunk);
    await connection.closeWrite();
  };
  await Promise.all([towardsChild(), towardsClient(), child.status]);
}

/** Writes every secret as a name or content of a file and reads it back, one at a time. */
async function useFiles(lines: Lines, folder: string, secrets: readonly string[]): Promise<void> {
  await lines.ask("initialize", {
    protocolVersion: "2025-06-18",
    capabilities: {},
    clientInfo: { name: "wire-audit", version: "1.0.0" },
  });
  await lines.write(JSON.stringify({ jsonrpc: "2.0", method: "notifications/initialized" }));
  for (let at = 0; at < secrets.length; at += 2) {
    const path = `${folder}/${secrets[at]}`;
    const content = secrets[at + 1] ?? "";
    await lines.callTool("write_file", { path, content });
    const read = await lines.callTool("read_text_file", { path });
    insist(read.includes(content), `the file has what was written: ${read}`);
  }
  const listing = await lines.callTool("list_directory", { path: folder });
  insist(
    secrets.every((name, at) => at % 2 === 1 || listing.includes(name)),
    "all files are listed",
  );
}

/** A two-way stream of bytes. */
interface Duplex {
  readonly chunks: AsyncIterable<Uint8Array>;
  readonly write: (bytes: Uint8Array<ArrayBuffer>) => Promise<void>;
  readonly end: () => Promise<void>;
}

async function* chunksOf(connection: Deno.Conn): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const buffer = new Uint8Array(64 * 1024);
  for (;;) {
    const count = await connection.read(buffer);
    if (count === null) return;
    yield buffer.slice(0, count);
  }
}

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
}

/** JSON-RPC over lines. */
class Lines {
  readonly #duplex: Duplex;
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #decoder = new TextDecoder();
  #rest = "";
  #id = 0;

  constructor(duplex: Duplex) {
    this.#duplex = duplex;
    this.#chunks = duplex.chunks[Symbol.asyncIterator]();
  }

  /** Writes one line. */
  async write(line: string): Promise<void> {
    await this.#duplex.write(new TextEncoder().encode(`${line}\n`));
  }

  /** Sends a request and returns the line of its reply. */
  async ask(method: string, params: unknown): Promise<string> {
    const id = ++this.#id;
    await this.write(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    for (;;) {
      const line = await this.#line();
      if (JSON.parse(line).id === id) return line;
    }
  }

  /** Calls a tool and returns the line of its result. Throws when it fails. */
  async callTool(name: string, args: unknown): Promise<string> {
    const line = await this.ask("tools/call", { name, arguments: args });
    const { result, error } = JSON.parse(line);
    insist(error === undefined && result?.isError !== true, `${name} works: ${line}`);
    return line;
  }

  /** Ends the writing, and reads to the end. */
  async close(): Promise<void> {
    await this.#duplex.end();
    while ((await this.#chunks.next()).done !== true);
  }

  async #line(): Promise<string> {
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end >= 0) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return line;
      }
      const next = await this.#chunks.next();
      if (next.done === true) throw new Error("the server ended without an answer");
      this.#rest += this.#decoder.decode(next.value, { stream: true });
    }
  }
}

async function useChild(
  command: Deno.Command,
  use: (lines: Lines) => Promise<void>,
): Promise<void> {
  const child = command.spawn();
  const stdin = child.stdin.getWriter();
  const lines = new Lines({
    chunks: child.stdout,
    write: (bytes) => stdin.write(bytes),
    end: () => stdin.close(),
  });
  try {
    await use(lines);
    await lines.close();
  } catch (error) {
    kill(child);
    throw error;
  } finally {
    await child.status;
  }
}

function kill(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // it has ended already
  }
}

/** Looks for each secret in what was recorded, which must be a whole connection. */
function finding(
  where: string,
  carries: "Talos" | "plain",
  secrets: Secrets,
  recorded: Uint8Array,
): Finding {
  const { hostName, agentName, service, token, files } = secrets;
  const text = new TextDecoder("latin1").decode(recorded);
  const all = [hostName, agentName, service, token, ...files];
  const found = all.filter((secret) => text.includes(secret)).length;
  const isTalos = text.includes("TALOS\u0001"); // the preface, which opens every connection
  insist(isTalos === (carries === "Talos"), `${where} was recorded from its beginning on`);
  return { where, found, bytes: recorded.length };
}

function insist(holds: boolean, what: string): void {
  if (!holds) throw new Error(`the audit cannot be trusted: it does not hold that ${what}`);
}

/** Tells whether an audit proves what it should. */
export function passed({ planted, control, talos }: Audit): boolean {
  return control.found === planted && talos.every(({ found }) => found === 0);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: { secrets: { type: "string" }, recorder: { type: "string" } },
  });
  const count = Number(values.secrets ?? 1000);
  if (!Number.isSafeInteger(count) || count < LEAST_SECRETS) {
    console.error(`--secrets is a number from ${LEAST_SECRETS} on`);
    return 2;
  }
  const missing = values.recorder === "proxy" ? "a proxy was asked for" : await whyNoTcpdump();
  if (values.recorder === "tcpdump" && missing !== null) throw new Error(missing);
  const recorder = missing === null ? TCPDUMP : PROXY;
  console.log(
    missing === null ? "recording with tcpdump" : `recording with a proxy, not tcpdump: ${missing}`,
  );
  const audit = await auditWire(count, recorder);
  for (const { where, found, bytes } of [audit.control, ...audit.talos]) {
    console.log(`found ${found} of ${count} secrets in ${where}, among ${bytes} recorded bytes`);
  }
  console.log(
    passed(audit)
      ? "passed: nothing of them is readable on the wire"
      : "FAILED: the wire shows what it must not, or the search is blind",
  );
  return passed(audit) ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
