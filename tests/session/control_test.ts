import assert from "node:assert/strict";
import { utf8 } from "../../lib/bytes.ts";
import { TalosError } from "../../lib/errors.ts";
import { callControl, type ControlMethods, serveControl } from "../../lib/session/control.ts";
import { encode } from "../../lib/wire/msgpack.ts";
import { failure, sessionPair } from "./peers.ts";

const METHODS: ControlMethods = {
  echo: (params) => params,
  slow: async (params) => {
    await Promise.resolve();
    return [params, "done"];
  },
  refuse: () => {
    throw new TalosError("no_such_thing", "Cannot find it: it is not there");
  },
  fail: () => {
    throw new Error("😀\u001b".repeat(3000));
  },
};

async function withControl(
  body: (
    call: (method: string, params?: Parameters<typeof callControl>[2]) => Promise<unknown>,
  ) => Promise<void>,
): Promise<void> {
  const [near, far] = await sessionPair();
  const serving = serveControl(far, METHODS).then(() => far.close());
  await body((method, params) => callControl(near, method, params));
  await near.close();
  await serving;
}

Deno.test("callControl() returns what the method returns", () =>
  withControl(async (call) => {
    assert.equal(await call("echo"), null);
    assert.equal(await call("echo", "text"), "text");
    assert.deepEqual(await call("slow", 7), [7, "done"]);
  }));

Deno.test("callControl() throws what the method throws, and the next call works", () =>
  withControl(async (call) => {
    const error = await failure(call("refuse"), "service_failed");
    assert.equal(
      error.message,
      "The process cannot answer refuse: Cannot find it: it is not there",
    );
    const long = await failure(call("fail"), "service_failed");
    assert.ok(long.message.isWellFormed() && long.message.length < 1100);
    assert.ok(!long.message.includes("\u001b"));
    assert.equal(await call("echo", 1), 1);
  }));

Deno.test("callControl() throws when there is no such method, and what objects inherit is none", () =>
  withControl(async (call) => {
    for (const method of ["nothing", "constructor", "toString", "__proto__", "hasOwnProperty"]) {
      const error = await failure(call(method), "service_failed");
      assert.match(error.message, /There is no method/);
    }
  }));

Deno.test("callControl() throws connection_lost when the process ends first", async () => {
  const [near, far] = await sessionPair();
  const calling = failure(callControl(near, "echo"), "connection_lost");
  await Promise.all([far.close(), calling.then(() => near.close())]);
});

Deno.test("callControl() throws protocol when the answer makes no sense", async () => {
  for (
    const answer of [utf8("nonsense"), encode([]), encode({ id: 1 }), encode({ id: 2, result: 1 })]
  ) {
    const [near, far] = await sessionPair();
    const calling = failure(callControl(near, "echo"), "protocol");
    await far.receive();
    await far.send(answer);
    await calling;
    near.abort(new Error("enough"));
    far.abort(new Error("enough"));
  }
});

Deno.test("serveControl() throws when a request makes no sense", async () => {
  for (
    const request of [utf8("nonsense"), encode({}), encode({ id: 1, method: 7, params: null })]
  ) {
    const [near, far] = await sessionPair();
    await near.send(request);
    await assert.rejects(serveControl(far, METHODS), { name: "WireError" });
    near.abort(new Error("enough"));
    far.abort(new Error("enough"));
  }
});
