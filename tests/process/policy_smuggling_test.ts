/**
 * Calls that a policy forbids, written so that a program may see them where another does not, against servers
 * that read lines as different languages do and carry out every reading of them. The peer is malicious: it
 * speaks the tunnel's protocol itself, so nothing of ours looks at its lines before the host does.
 */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

import { type Bytes, concat, fromUtf8, utf8 } from "../../lib/bytes.ts";
import { systemClock } from "../../lib/clock.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import { SILENT } from "../../lib/log.ts";
import { Launcher } from "../../lib/mcp/launcher.ts";
import { PolicyGate } from "../../lib/mcp/policy/policy_gate.ts";
import { UsageBook } from "../../lib/mcp/policy/usage_book.ts";
import { McpService } from "../../lib/mcp/serve.ts";
import type { Session } from "../../lib/session/session.ts";
import { call, FORGETFUL, policyOf, request } from "../mcp/policy/scene.ts";
import { ALICE, sessionPair } from "../session/peers.ts";
import { soon } from "./mcp_tunnel.ts";

const POLICY = policyOf({
  peer: "*",
  tools: { allow: ["*"], deny: ["evil", "wipe_*"] },
  arguments: {
    safe: {
      "/path": { prefix: "/ok/" },
      "/n": { optional: true, max: 9007199254740991, min: 0 },
      "/mode": { optional: true, values: ["read"] },
    },
  },
});

/** What `safe` may be called with; `evil`, `wipe_*` and everything else may not run at all. */
const SAFE = '{"path":"/ok/a"}';
const EVIL = call("evil", {}, 666);
const GOOD = call("safe", { path: "/ok/a" }, 1);

const calling = (params: string, id = '"id":1,') =>
  `{"jsonrpc":"2.0",${id}"method":"tools/call","params":${params}}`;
const named = (name: string) => calling(`{"name":${name},"arguments":${SAFE}}`);
const withArguments = (args: string) => calling(`{"name":"safe","arguments":${args}}`);
const raw = (...parts: readonly (string | readonly number[])[]): Bytes =>
  concat(...parts.map((part) => typeof part === "string" ? utf8(part) : Uint8Array.from(part)));

/** Attempts, none of which may have any effect. */
const ATTEMPTS: readonly (string | Bytes)[] = [
  // plainly
  EVIL,
  named('"wipe_disk"'),
  withArguments('{"path":"/etc/passwd"}'),
  withArguments("{}"),
  calling('{"name":"safe"}'),
  // line endings inside a message
  `${GOOD}\r${EVIL}`,
  `${GOOD}\n${EVIL}`,
  `${GOOD}\r\n${EVIL}`,
  `\r${EVIL}\r`,
  withArguments(`{"path":"/ok/a","x":\r${EVIL}\r}`),
  withArguments(`{"path":"/ok/\r${EVIL}\r"}`),
  withArguments(`{"path":"/ok/\n${EVIL}\n"}`),
  `${GOOD}\u0085${EVIL}`,
  `${GOOD}\u2028${EVIL}`,
  `${GOOD}\x0b${EVIL}`,
  `${GOOD}\x0c${EVIL}`,
  `${GOOD}\x1c${EVIL}`,
  `${GOOD}${EVIL}`,
  `${GOOD},${EVIL}`,
  // names that come twice, at every depth
  '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"evil"}}',
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","method":"ping","params":{"name":"evil"}}',
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"evil"},"params":{"name":"safe","arguments":${SAFE}}}`,
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"safe","arguments":${SAFE}},"params":{"name":"evil"}}`,
  calling(`{"name":"evil","name":"safe","arguments":${SAFE}}`),
  calling(`{"name":"safe","name":"evil","arguments":${SAFE}}`),
  calling(`{"name":"safe","n\\u0061me":"evil","arguments":${SAFE}}`),
  calling(`{"name":"safe","arguments":{"path":"/etc/x"},"arguments":${SAFE}}`),
  withArguments('{"path":"/ok/a","path":"/etc/x"}'),
  withArguments('{"path":"/etc/x","path":"/ok/a"}'),
  withArguments('{"path":"/ok/a","p\\u0061th":"/etc/x"}'),
  withArguments('{"path":"/ok/a","deep":[{"a":1,"a":{"b":2}}]}'),
  // names in another case
  '{"jsonrpc":"2.0","id":1,"Method":"tools/call","method":"ping","params":{"name":"evil"}}',
  '{"jsonrpc":"2.0","id":1,"METHOD":"tools/call","params":{"name":"evil"}}',
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","Params":{"name":"evil"}}',
  calling(`{"name":"safe","Name":"evil","arguments":${SAFE}}`),
  calling(`{"name":"safe","Arguments":{"path":"/etc/x"},"arguments":${SAFE}}`),
  calling(`{"name":"safe","argument\\u017f":{"path":"/etc/x"},"arguments":${SAFE}}`),
  withArguments('{"path":"/ok/a","Path":"/etc/x"}'),
  withArguments('{"path":"/ok/a","PATH":"/etc/x"}'),
  // names that are other names to some
  named('"EVIL"'),
  named('"\\u0065vil"'),
  named('"evil\\u0000safe"'),
  named('"ev\\u0131l"'),
  named('"ｅvil"'),
  named('"e\\u200bvil"'),
  named('" evil"'),
  named('"wipe\\u005fdisk"'),
  named('["evil"]'),
  named('{"name":"evil"}'),
  named("null"),
  // numbers beyond 2^53, and others that are read in two ways
  withArguments('{"path":"/ok/a","n":9007199254740993}'),
  withArguments('{"path":"/ok/a","n":9007199254740992}'),
  withArguments('{"path":"/ok/a","n":9007199254740991.0000000001}'),
  withArguments('{"path":"/ok/a","n":1e400}'),
  withArguments('{"path":"/ok/a","n":-1e-400}'),
  withArguments('{"path":"/ok/a","n":"1"}'),
  withArguments('{"path":"/ok/a","n":[1]}'),
  withArguments('{"path":"/ok/a","n":null}'),
  withArguments('{"path":"/ok/a","n":0x1}'),
  withArguments('{"path":"/ok/a","n":01}'),
  withArguments('{"path":"/ok/a","n":NaN}'),
  withArguments('{"path":"/ok/a","n":Infinity}'),
  // values that are others to some
  withArguments('{"path":"/ok/../etc/x"}'),
  withArguments('{"path":"/ok/%2e%2e/etc/x"}'),
  withArguments('{"path":"/ok/a\\\\..\\\\..\\\\x"}'),
  withArguments('{"path":["/ok/a"]}'),
  withArguments('{"path":"/OK/a"}'),
  withArguments('{"path":"/ok/a","mode":"Read"}'),
  withArguments('{"path":"/ok/a","mode":"\\uff52ead"}'),
  withArguments('["/ok/a"]'),
  withArguments('"/ok/a"'),
  // bytes
  `\ufeff${EVIL}`,
  `\ufeff${GOOD}`,
  `${GOOD}\0${EVIL}`,
  `\0${EVIL}`,
  withArguments('{"path":"/ok/a\\u0000"}').replace("\\u0000", "\0"),
  raw(GOOD.slice(0, -3), [0xc0, 0x8a], EVIL),
  raw(GOOD, [0xff], EVIL),
  raw(
    '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"evil',
    [0xed, 0xa0, 0x80],
    '"}}',
  ),
  named('"evil\\ud800"'),
  withArguments('{"path":"/ok/\\ud800"}'),
  withArguments('{"path":"/ok/a","\\udc00":1}'),
  // without an id, or with a strange one
  calling(`{"name":"safe","arguments":${SAFE}}`, ""),
  calling('{"name":"evil"}', ""),
  calling('{"name":"evil"}', '"id":null,'),
  calling(`{"name":"safe","arguments":${SAFE}}`, '"id":null,'),
  calling('{"name":"evil"}', '"id":[1],'),
  calling(`{"name":"safe","arguments":${SAFE}}`, '"id":true,'),
  // envelopes
  '{"id":1,"method":"tools/call","params":{"name":"evil"}}',
  '{"jsonrpc":"1.0","id":1,"method":"tools/call","params":{"name":"evil"}}',
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["evil"]}',
  '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"evil"},"result":{}}',
  '{"jsonrpc":"2.0","id":1,"method":"Tools/Call","params":{"name":"evil"}}',
  '{"jsonrpc":"2.0","id":1,"method":"tools\\/call","params":{"name":"evil"}}',
  '{"jsonrpc":"2.0","id":1,"method":"tools/call ","params":{"name":"evil"}}',
  '{"jsonrpc":"2.0","id":1,"method":"tools/run","params":{"name":"evil"}}',
  '{"jsonrpc":"2.0","method":"notifications/x","params":{"name":"evil"}}',
  `"${EVIL.replaceAll('"', '\\"')}"`,
  `//\n${EVIL}`,
  `/* */${EVIL}`,
  `{'jsonrpc':'2.0','id':1,'method':'tools/call','params':{'name':'evil'}}`,
  // batches
  `[${EVIL}]`,
  `[[${EVIL}]]`,
  `[${calling('{"name":"evil"}', "")}]`,
  `[${calling(`{"name":"safe","name":"evil","arguments":${SAFE}}`)}]`,
  `[${GOOD},${EVIL}\r]`,
  "[]",
];

/** A child, and how it reads lines. */
interface Reader {
  readonly name: string;
  readonly argv: (record: string) => readonly string[];
  readonly present: boolean;
}

const fixture = (name: string) => fileURLToPath(new URL(`fixtures/${name}`, import.meta.url));

function runs(program: string): boolean {
  try {
    return new Deno.Command(program, { args: ["--version"], stdout: "null", stderr: "null" })
      .outputSync().success;
  } catch {
    return false;
  }
}

const READERS: readonly Reader[] = [
  {
    name: "Python's TextIOWrapper",
    argv: (record) => ["python3", fixture("line_server.py"), record],
    present: runs("python3"),
  },
  {
    name: "Node's readline",
    argv: (record) => ["node", fixture("line_server.mjs"), record],
    present: runs("node"),
  },
  {
    name: "a split at line feeds",
    argv: (
      record,
    ) => [
      Deno.execPath(),
      "run",
      "--allow-all",
      "--no-check",
      "--no-config",
      "--quiet",
      fixture("line_server.mjs"),
      record,
      "split",
    ],
    present: true,
  },
];

/** A malicious peer in a session with a server under the policy. */
interface Attack extends AsyncDisposable {
  readonly peer: Session;
  /** What the server did, a line each. */
  readonly done: () => string[];
}

async function attack({ argv }: Reader): Promise<Attack> {
  const folder = await Deno.makeTempDir({ prefix: "talos-test-" });
  const record = `${folder}/record`;
  await Deno.writeTextFile(record, "");
  const [program = "", ...args] = argv(record);
  const usage = new UsageBook({ database: FORGETFUL, clock: systemClock, log: SILENT });
  const gate = new PolicyGate({
    policy: POLICY,
    usage,
    clock: systemClock,
    random: systemRandom,
    log: SILENT,
  });
  const env = Object.fromEntries(["PATH", "HOME"].flatMap((name) => {
    const value = Deno.env.get(name);
    return value === undefined ? [] : [[name, value]];
  }));
  const service = new McpService({
    service: "mcp/default",
    plan: () => ({ argv: [pathOf(program), ...args], env }),
    limits: {},
    launcher: new Launcher(Deno.build.os),
    interceptors: (caller, lines) => [gate.interceptor(caller, lines)],
    maxMessage: 1 << 20,
    clock: systemClock,
    log: SILENT,
  });
  const [peer, hosted] = await sessionPair({ clock: systemClock });
  const caller = { peer: ALICE.peerId, service: "mcp/default" };
  const over = service.run(hosted, caller, new AbortController().signal).then(() => hosted.close());
  return {
    peer,
    done: () => Deno.readTextFileSync(record).split("\n").filter((line) => line !== ""),
    async [Symbol.asyncDispose]() {
      await peer.close();
      await over;
      await service[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

/** Returns the full path of a program. */
function pathOf(program: string): string {
  if (program.includes("/")) return program;
  for (const directory of (Deno.env.get("PATH") ?? "").split(":")) {
    try {
      if (Deno.statSync(`${directory}/${program}`).isFile) return `${directory}/${program}`;
    } catch {
      // not there
    }
  }
  throw new Error(`there is no ${program}`);
}

let barriers = 0;

/** Makes a permitted call and waits for its answer: all that was sent before has been dealt with. */
async function barrier({ peer }: Attack): Promise<string> {
  const id = `barrier ${++barriers}`;
  await peer.send(utf8(call("safe", { path: "/ok/barrier" }, id)));
  for (;;) {
    const line = await soon(peer.receive(), "the answer to a permitted call");
    assert.ok(line !== null, "the session has ended");
    if (JSON.parse(fromUtf8(line)).id === id) return BARRIER;
  }
}

const BARRIER = JSON.stringify({
  method: "tools/call",
  name: "safe",
  arguments: { path: "/ok/barrier" },
});

function same(line: string, expected: string): boolean {
  return JSON.stringify(JSON.parse(line)) === expected;
}

for (const reader of READERS) {
  const ignore = !reader.present;
  const why = ignore ? " (skipped: there is no such program here)" : "";

  Deno.test({
    name:
      `no server that reads lines as ${reader.name} does carries out what the policy did not see${why}`,
    ignore,
    async fn() {
      await using there = await attack(reader);
      await barrier(there);
      let expected = 1;
      for (const attempt of ATTEMPTS) {
        const shown = typeof attempt === "string" ? attempt : fromUtf8(utf8(attempt.toHex()));
        await there.peer.send(typeof attempt === "string" ? utf8(attempt) : attempt);
        await barrier(there);
        const done = there.done();
        assert.deepEqual(
          done.filter((line) => !same(line, BARRIER)),
          [],
          `${reader.name}: ${JSON.stringify(shown)}`,
        );
        assert.equal(done.length, ++expected, shown);
      }
    },
  });

  Deno.test({
    name:
      `no part of a line, split at every byte, is carried out by a server that reads as ${reader.name} does${why}`,
    ignore,
    async fn() {
      await using there = await attack(reader);
      const line = utf8(
        `[${GOOD},${withArguments('{"path":"/ok/a","t":"\u00e9\u2028\ud83d\ude00"}')}]`,
      );
      for (let at = 1; at < line.length; at++) {
        await there.peer.send(line.subarray(0, at));
        await there.peer.send(line.subarray(at));
      }
      await barrier(there);
      assert.deepEqual(there.done().filter((one) => !same(one, BARRIER)), []);
    },
  });

  Deno.test({
    name:
      `of a batch a server that reads as ${reader.name} does carries out what is permitted alone${why}`,
    ignore,
    async fn() {
      await using there = await attack(reader);
      await there.peer.send(utf8(request("i", "initialize", {})));
      await barrier(there);
      for (const attempt of ATTEMPTS) {
        // Each beside a permitted call in one batch, where it can be an element at all.
        const good = utf8(call("safe", { path: "/ok/barrier" }, "b"));
        const element = typeof attempt === "string" ? utf8(attempt) : attempt;
        await there.peer.send(concat(utf8("["), good, utf8(","), element, utf8("]")));
        await barrier(there);
      }
      // `good,evil` between brackets is a batch of three, of which one more is permitted.
      const permitted = JSON.stringify({
        method: "tools/call",
        name: "safe",
        arguments: { path: "/ok/a" },
      });
      const done = there.done().filter((line) => !same(line, BARRIER) && !same(line, permitted));
      assert.deepEqual(done.map((line) => JSON.parse(line).method), ["initialize"]);
      assert.ok(there.done().length > 2 * ATTEMPTS.length * 0.3, "batches were negotiated");
    },
  });
}

Deno.test("the servers of these tests carry out what nobody checks: the control run", async () => {
  for (const reader of READERS.filter(({ present }) => present)) {
    const folder = await Deno.makeTempDir({ prefix: "talos-test-" });
    try {
      const record = `${folder}/record`;
      const [program = "", ...args] = reader.argv(record);
      const child = new Deno.Command(program, {
        args: [...args],
        stdin: "piped",
        stdout: "null",
        stderr: "null",
      }).spawn();
      const writer = child.stdin.getWriter();
      for (const attempt of ATTEMPTS) {
        await writer.write(
          concat(typeof attempt === "string" ? utf8(attempt) : attempt, utf8("\n")),
        );
      }
      await writer.close();
      await child.status;
      const done = (await Deno.readTextFile(record)).split("\n").filter((line) => line !== "");
      const evil = done.filter((line) => /"name": ?"evil"/.test(line)).length;
      assert.ok(evil >= 20, `${reader.name}: ${evil} evil calls of ${done.length}`);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }
});
