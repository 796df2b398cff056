/**
 * Makes the annotated session of docs/PROTOCOL.md: one whole connection, byte by byte, from fixed keys,
 * fixed randomness and a fixed clock. `deno run -A scripts/annotated_session.ts --write` puts it into
 * the document; a test holds the document to what the code sends.
 */

// deno-lint-ignore-file no-console -- printing is what this script is for.

import { type Bytes, hex, utf8 } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import { parseEd25519SecretKey } from "../lib/crypto/ed25519.ts";
import { sha256 } from "../lib/crypto/sha256.ts";
import type { RandomBytes } from "../lib/crypto/random.ts";
import { LocalIdentity } from "../lib/identity/local_identity.ts";
import { DETACH_TIMEOUT_MS } from "../lib/limits.ts";
import { encodeOpen, encodeOpened, encodeReason } from "../lib/session/bodies.ts";
import type { Connection } from "../lib/session/connection.ts";
import { initiate, respond } from "../lib/session/handshake.ts";
import { memoryPair } from "../lib/transport/memory.ts";
import type { Transport } from "../lib/transport/transport.ts";
import { encodeAck, encodeDataHeader } from "../lib/wire/frames.ts";
import { ConnectionKind } from "../lib/wire/preface.ts";
import { ROOT } from "./source_files.ts";

/** The document that holds the session, and what stands around it there. */
export const DOCUMENT = "docs/PROTOCOL.md";
const BEGIN = "<!-- annotated session: made by scripts/annotated_session.ts -->";
const END = "<!-- end of the annotated session -->";

const WIDTH = 32;
const NOW = Date.UTC(2026, 0, 1);
const ASK = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
const ANSWER = '{"jsonrpc":"2.0","id":1,"result":{}}';

const clock: Clock = {
  now: () => NOW,
  monotonic: () => 0,
  after: () => ({ [Symbol.dispose]() {} }),
};

/** Returns random bytes that are the same at every run: SHA-256 of a name and a counter. */
function fixedRandom(name: string): RandomBytes {
  let counter = 0;
  return (length) => {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; at += 32) {
      bytes.set(sha256(utf8(`${name} ${counter++}`)).subarray(0, length - at), at);
    }
    return bytes;
  };
}

/** Passes everything on and keeps what was written. */
function recorded(transport: Transport, sent: Bytes[]): Transport {
  return new Proxy(transport, {
    get(target, property) {
      if (property === "write") {
        return (bytes: Bytes) => {
          sent.push(bytes.slice());
          return target.write(bytes);
        };
      }
      const value: unknown = Reflect.get(target, property);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

class Page {
  readonly lines: string[] = [];

  say(text: string): void {
    this.lines.push("", text, "");
  }

  block(...parts: readonly (readonly [what: string, bytes: Uint8Array])[]): void {
    this.lines.push("```text");
    for (const [what, bytes] of parts) {
      this.lines.push(`# ${what} (${bytes.length} bytes)`);
      for (let at = 0; at < bytes.length; at += WIDTH) {
        this.lines.push(hex(bytes.subarray(at, at + WIDTH)));
      }
    }
    this.lines.push("```");
  }
}

/** Cuts `bytes` into parts of the given sizes; a last size of Infinity takes the rest. */
function cut(
  bytes: Bytes,
  parts: readonly (readonly [what: string, size: number])[],
): [string, Uint8Array][] {
  let at = 0;
  return parts.map(([what, size]) => {
    const end = Math.min(at + size, bytes.length);
    const part: [string, Uint8Array] = [what, bytes.subarray(at, end)];
    at = end;
    return part;
  });
}

/** Returns the session as Markdown. */
export async function annotatedSession(): Promise<string> {
  const agent = new LocalIdentity(parseEd25519SecretKey(new Uint8Array(32).fill(0x0a)));
  const host = new LocalIdentity(parseEd25519SecretKey(new Uint8Array(32).fill(0x0b)));
  const instance = fixedRandom("instance")(16);
  const [near, far] = memoryPair();
  const fromAgent: Bytes[] = [];
  const fromHost: Bytes[] = [];
  const [toHost, toAgent]: readonly [Connection, Connection] = await Promise.all([
    initiate(recorded(near, fromAgent), {
      identity: agent,
      random: fixedRandom("agent"),
      clock,
      peer: host.peerId,
      kind: ConnectionKind.peer,
    }),
    respond(recorded(far, fromHost), {
      identity: host,
      random: fixedRandom("host"),
      clock,
      kind: ConnectionKind.peer,
      instance,
    }),
  ]);
  const page = new Page();
  page.say(
    `The agent's secret key is 32 bytes \`0a\`, the host's 32 bytes \`0b\`; both clocks stand at ` +
      `2026-01-01T00:00:00Z. Each call for randomness gives SHA-256("agent 0"), SHA-256("agent 1"), … ` +
      `(on the host's side "host 0", …), as many as it takes. Agent \`${agent.peerId}\`, ` +
      `host \`${host.peerId}\`.`,
  );
  page.say("**Agent → host: preface and handshake message 1** (`-> e, es, e1, s, ss`)");
  page.block(...cut(fromAgent[0]!, [
    ['preface: "TALOS", version 1, kind 0, 0', 8],
    ["length of message 1", 2],
    ["e: X25519 public key", 32],
    ["e1: ML-KEM-768 encapsulation key, sealed", 1184 + 16],
    ["s: the agent's static key, sealed", 32 + 16],
    ["payload {min, max, caps, t, ed, sig}, sealed", Infinity],
  ]));
  page.say("**Host → agent: handshake message 2** (`<- e, ee, ekem1, se`)");
  page.block(...cut(fromHost[0]!, [
    ["length of message 2", 2],
    ["e: X25519 public key", 32],
    ["ekem1: ML-KEM-768 ciphertext, sealed", 1088 + 16],
    ["payload {min, max, caps, t, ed, sig, instance}, sealed", Infinity],
  ]));
  page.say("Both now have the handshake hash");
  page.block(["h", toHost.handshakeHash]);

  const exchange = async (
    from: Connection,
    to: Connection,
    sent: Bytes[],
    title: string,
    frames: readonly (readonly [string, Bytes])[],
  ) => {
    const before = sent.length;
    page.say(`**${title}**`);
    for (const [, frame] of frames) from.channel.enqueue(frame);
    const [wire] = await Promise.all([from.channel.flush(), to.channel.fill()])
      .then(() => sent.slice(before));
    let at = 0;
    for (const [what, frame] of frames) {
      const record = wire!.subarray(at, at + 2 + frame.length + 16);
      page.block([`frame: ${what}`, frame], ["record: u16 length, ciphertext and tag", record]);
      at += record.length;
    }
  };
  const data = (header: Uint8Array, text: string): Bytes =>
    new Uint8Array([...header, ...utf8(text)]);
  const maxMessage = 64 * 1024 * 1024;
  const credit = 65 * 1024 * 1024;
  await exchange(
    toHost,
    toAgent,
    fromAgent,
    "Agent → host, one write: OPEN, ACK and the first message",
    [
      [
        "OPEN {id, service, max_message, salt}",
        encodeOpen({
          id: fixedRandom("session id")(16),
          service: "mcp/default",
          maxMessage,
          salt: fixedRandom("salt")(16),
        }),
      ],
      ["ACK, ack 0, credit 65 MiB", encodeAck(0, credit)],
      [
        `DATA, the last fragment, seq 1, ack 0, ${ASK}`,
        data(encodeDataHeader(false, 1, 0, credit), ASK),
      ],
    ],
  );
  await exchange(toAgent, toHost, fromHost, "Host → agent: OPENED, ACK and the answer", [
    [
      "OPENED {instance, service, max_message, detach_timeout, next}",
      encodeOpened({
        instance,
        service: "mcp/default",
        maxMessage,
        detachTimeoutMs: DETACH_TIMEOUT_MS,
        next: 1,
      }),
    ],
    ["ACK, ack 0, credit 65 MiB", encodeAck(0, credit)],
    [
      `DATA, the last fragment, seq 1, ack 1, ${ANSWER}`,
      data(encodeDataHeader(false, 1, 1, credit), ANSWER),
    ],
  ]);
  await exchange(toHost, toAgent, fromAgent, "Agent → host: CLOSE", [
    ["CLOSE {code, reason}", encodeReason("close", { code: "done", reason: "" })],
  ]);
  toHost.channel.close();
  toAgent.channel.close();
  return page.lines.join("\n").trim();
}

/** Returns the session as it stands in a document. Throws when it is not there. */
export function sessionIn(document: string): string {
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`${DOCUMENT} has no annotated session`);
  return document.slice(begin + BEGIN.length, end).trim();
}

async function write(): Promise<void> {
  const url = new URL(DOCUMENT, ROOT);
  const document = await Deno.readTextFile(url);
  sessionIn(document); // throws when there is no place for it
  const before = document.slice(0, document.indexOf(BEGIN) + BEGIN.length);
  const after = document.slice(document.indexOf(END));
  await Deno.writeTextFile(url, `${before}\n\n${await annotatedSession()}\n\n${after}`);
}

if (import.meta.main) {
  if (Deno.args[0] === "--write") await write();
  else console.log(await annotatedSession());
}
