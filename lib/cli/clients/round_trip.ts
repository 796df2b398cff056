/**
 * Tries an entry as its client would: starts the very command, in the environment that MCP clients give to their
 * servers, says `initialize`, asks for the tools, and ends it in order.
 *
 * What the far end calls itself is text from outside: it is shown printable and shortened, and counted, not trusted.
 */

import { type Clock, within } from "../../clock.ts";
import { messageOf, TalosError } from "../../errors.ts";
import { printable } from "../../log.ts";
import { MAX_TRIED_ANSWER_BYTES, ROUND_TRIP_MS } from "../../limits.ts";
import { INHERITED_POSIX, INHERITED_WINDOWS } from "../../mcp/child_environment.ts";
import { VERSION } from "../../version.ts";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import { type ConfigValue, isTable, type ServerEntry } from "./entry.ts";

/** What answered. */
export interface Answered {
  /** What the server calls itself. */
  readonly server: string;
  /** Its version, as it says. */
  readonly version: string;
  /** How many tools it offers. */
  readonly tools: number;
}

const PROTOCOL_VERSION = "2025-06-18";
const MAX_SHOWN_CHARACTERS = 80;

/** Pages of tools that are asked for: real servers have one. */
const MAX_PAGES = 100;

/**
 * Starts `entry` and returns what answers. Throws TalosError with the code of what went wrong at the other end of
 * `mcp-connect`, CliError "no_answer" when nothing does in time.
 */
export async function roundTrip(
  { os, env, clock }: Pick<Context, "os" | "env" | "clock">,
  entry: ServerEntry,
): Promise<Answered> {
  await using server = startServer(entry, clientEnvironment(os, env), clock);
  const answered = await within(clock, ROUND_TRIP_MS, ask(server), null);
  if (answered === null) throw noAnswer(`nothing came in ${ROUND_TRIP_MS / 1000} s`);
  return answered;
}

/** Returns what clients hand down to a server they start. */
function clientEnvironment(os: Context["os"], env: Context["env"]): Record<string, string> {
  const names = os === "windows" ? INHERITED_WINDOWS : INHERITED_POSIX;
  return Object.fromEntries(names.flatMap((name) => {
    const value = env(name);
    return value === undefined ? [] : [[name, value]];
  }));
}

async function ask(server: Server): Promise<Answered> {
  const initialized = await server.call("initialize", {
    protocolVersion: PROTOCOL_VERSION,
    capabilities: {},
    clientInfo: { name: "talos mcp-install", version: VERSION },
  });
  await server.notify("notifications/initialized");
  const { serverInfo, capabilities } = initialized;
  const info = isTable(serverInfo) ? serverInfo : {};
  return {
    server: shown(info["name"]),
    version: shown(info["version"]),
    tools: isTable(capabilities) && capabilities["tools"] !== undefined ? await tools(server) : 0,
  };
}

async function tools(server: Server): Promise<number> {
  let count = 0;
  let cursor: ConfigValue | undefined;
  for (let page = 0; page < MAX_PAGES; page++) {
    const { tools, nextCursor } = await server.call("tools/list", {
      ...(cursor === undefined ? {} : { cursor }),
    });
    count += Array.isArray(tools) ? tools.length : 0;
    if (typeof nextCursor !== "string") break;
    cursor = nextCursor;
  }
  return count;
}

/** A server that runs. */
interface Server extends AsyncDisposable {
  /** Returns the result of a request. Throws TalosError. */
  call(method: string, params: ConfigValue): Promise<Readonly<Record<string, ConfigValue>>>;
  /** Sends a notification. */
  notify(method: string): Promise<void>;
}

/** What `mcp-connect` says on stderr when a host cannot be reached at the moment. */
const RETRYING = "trying again";

/** How long a host that cannot be reached is waited for: whoever typed the command looks on. */
const RETRYING_MS = 5_000;

/** How long a server may take to end when nobody needs it any more. */
const LEAVE_MS = 5_000;

function startServer(
  { command, args, env }: ServerEntry,
  inherited: Record<string, string>,
  clock: Clock,
): Server {
  const child = spawned(command, args, { ...inherited, ...env });
  const writer = child.stdin.getWriter();
  let isRetrying = false;
  let isPatient = true;
  // The end of its input makes it tell what is wrong instead of trying on for as long as an agent would wait.
  // Where that fails it has ended already.
  const giveUp = () => isRetrying && !isPatient ? writer.close().catch(() => {}) : undefined;
  const patience = clock.after(RETRYING_MS, () => {
    isPatient = false;
    giveUp();
  });
  const said = lastLine(child.stderr, (text) => {
    isRetrying ||= text.includes(RETRYING);
    giveUp();
  });
  const lines = messages(child.stdout);
  let lastId = 0;
  const send = (message: Readonly<Record<string, ConfigValue>>) => {
    const line = JSON.stringify({ jsonrpc: "2.0", ...message }) + "\n";
    return writer.write(new TextEncoder().encode(line)).catch(() => {}); // its end is noticed below
  };
  return {
    async call(method, params) {
      const id = ++lastId;
      await send({ id, method, params });
      for (;;) {
        const { value: message, done } = await lines.next();
        if (done === true) {
          const { code } = await child.status;
          throw noAnswer(`it ended with exit status ${code}: ${await said}`);
        }
        if (message["id"] !== id || message["method"] !== undefined) continue;
        if (isTable(message["error"])) throw refused(message["error"]);
        return isTable(message["result"]) ? message["result"] : {};
      }
    },
    notify: (method) => send({ method }),
    async [Symbol.asyncDispose]() {
      patience[Symbol.dispose]();
      await writer.close().catch(() => {}); // it has ended already
      {
        using _patience = clock.after(LEAVE_MS, () => killed(child));
        await child.status;
      }
      await lines.return(undefined);
      await said;
    },
  };
}

function spawned(
  command: string,
  args: readonly string[],
  env: Record<string, string>,
): Deno.ChildProcess {
  try {
    return new Deno.Command(command, {
      args: [...args],
      env,
      clearEnv: true,
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    throw noAnswer(`${command} cannot be started: ${messageOf(error)}`);
  }
}

function killed(child: Deno.ChildProcess): void {
  try {
    child.kill("SIGKILL");
  } catch {
    // it has ended
  }
}

/** Yields the JSON objects of a stream of lines; other lines are none of ours. */
async function* messages(stream: ReadableStream<Uint8Array>) {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    rest += text;
    if (rest.length > MAX_TRIED_ANSWER_BYTES) {
      throw noAnswer(`an answer is longer than ${MAX_TRIED_ANSWER_BYTES} bytes`);
    }
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const message = parsed(line);
      if (isTable(message)) yield message;
    }
  }
}

function parsed(line: string): ConfigValue {
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}

/** Returns the last line with something in it; `see` sees all of them as they come. */
async function lastLine(
  stream: ReadableStream<Uint8Array>,
  see: (text: string) => void,
): Promise<string> {
  let tail = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    tail = (tail + text).slice(-4096);
    see(tail);
  }
  return printable(tail.trim().split("\n").at(-1) ?? "");
}

/** An error as `mcp-connect` told it. Its code decides the exit status, as if it had been met here. */
function refused(error: Readonly<Record<string, ConfigValue>>): TalosError {
  const { message, data } = error;
  const details = isTable(data) ? data : {};
  const { code, hint } = details;
  const text = `The entry is there, but it does not work: ${shownLong(message)}`;
  const hints = Array.isArray(hint) ? hint.map(shownLong) : [];
  const known = typeof code === "string" && /^[a-z_]{1,40}$/.test(code);
  return new TalosError(known ? code : "no_answer", text, { hints });
}

function noAnswer(state: string): CliError {
  return new CliError("no_answer", `The entry is there, but it does not work: ${state}`);
}

function shown(value: ConfigValue | undefined): string {
  return typeof value === "string" ? printable(value, MAX_SHOWN_CHARACTERS) : "?";
}

function shownLong(value: ConfigValue | undefined): string {
  return typeof value === "string" ? printable(value) : "no reason was given";
}
