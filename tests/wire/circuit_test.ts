import assert from "node:assert/strict";
import { fromHex, hex, utf8 } from "../../lib/bytes.ts";
import {
  CIRCUIT_TOKEN_BYTES,
  circuitLegOf,
  CircuitStatus,
  circuitStatusOf,
  DECLINE_REASONS,
  decodeInvitation,
  encodeInvitation,
  encodeLegOpening,
  REGISTRY_NODE,
} from "../../lib/wire/circuit.ts";
import { WireError } from "../../lib/wire/errors.ts";
import { Fields } from "../../lib/wire/fields.ts";
import { decode, encode } from "../../lib/wire/msgpack.ts";
import { decodeRequest, encodeRequest } from "../../lib/wire/registry_messages.ts";
import { ALICE, MALLORY } from "../session/peers.ts";

const TOKEN = fromHex("00112233445566778899aabbccddeeff".repeat(2));

Deno.test("what a leg and its node say is as published", () => {
  assert.equal(CIRCUIT_TOKEN_BYTES, 32);
  assert.equal(REGISTRY_NODE, "registry");
  assert.deepEqual(CircuitStatus, {
    joined: 0,
    unknown: 1,
    away: 2,
    declined: 3,
    busy: 4,
    draining: 5,
  });
  assert.deepEqual(DECLINE_REASONS, ["declined", "busy"]);
});

Deno.test("encodeLegOpening() is the preface and the token", () => {
  assert.equal(hex(encodeLegOpening(TOKEN)), "54414c4f53010300" + hex(TOKEN));
});

Deno.test("encodeLegOpening() throws when the token is too short", () => {
  assert.throws(() => encodeLegOpening(TOKEN.subarray(1)), RangeError);
});

Deno.test("circuitStatusOf() names every status, and is null when a newer node knows more", () => {
  assert.equal(circuitStatusOf(0), "joined");
  assert.equal(circuitStatusOf(5), "draining");
  assert.equal(circuitStatusOf(6), null);
  assert.equal(circuitStatusOf(255), null);
});

Deno.test("an invitation has its golden bytes, and is read back", () => {
  const invitation = { caller: ALICE.peerId, token: TOKEN, node: "registry" };
  const text = (value: string) => hex(utf8(value));
  const body = encodeInvitation(invitation);
  assert.equal(
    hex(body),
    "84" +
      "a5" + text("event") + "a6" + text("invite") +
      "a6" + text("caller") + "d930" + text(ALICE.peerId) +
      "a5" + text("token") + "c420" + hex(TOKEN) +
      "a4" + text("node") + "a8" + text("registry"),
  );
  assert.deepEqual(decodeInvitation(body), invitation);
});

for (
  const [what, body] of [
    ["another event", encode({ event: "of 2030", caller: ALICE.peerId })],
    ["no map", encode("invite")],
    ["no MsgPack", utf8("not even MsgPack")],
    ["nothing", utf8("")],
    [
      "a short token",
      encode({ event: "invite", caller: ALICE.peerId, token: TOKEN.slice(1), node: "a" }),
    ],
    ["no Peer ID", encode({ event: "invite", caller: "somebody", token: TOKEN, node: "registry" })],
    ["no node", encode({ event: "invite", caller: ALICE.peerId, token: TOKEN, node: "" })],
  ] as const
) {
  Deno.test(`decodeInvitation() is null when it is given ${what}`, () => {
    assert.equal(decodeInvitation(body), null);
  });
}

Deno.test("circuitLegOf() refuses a leg when its node has a name of 65 bytes", () => {
  const leg = (node: string) =>
    circuitLegOf(new Fields(decode(encode({ token: TOKEN, node })), "R"));
  assert.equal(leg("n".repeat(64)).node.length, 64);
  assert.throws(() => leg("n".repeat(65)), WireError);
});

Deno.test("the requests of circuits are read as they were written", () => {
  for (
    const request of [
      { op: "circuit", peer: MALLORY.peerId },
      { op: "circuit", peer: MALLORY.peerId, service: "mcp/notes" },
      { op: "decline", token: TOKEN, reason: "declined" },
      { op: "decline", token: TOKEN, reason: "busy" },
    ] as const
  ) {
    assert.deepEqual(decodeRequest(encodeRequest(7, request)), { id: 7, request });
  }
});

Deno.test("decodeRequest() refuses a decline when its reason or its token is none", () => {
  for (const [reason, token] of [["sleepy", TOKEN], ["busy", TOKEN.slice(1)]] as const) {
    const body = encode({ id: 1, op: "decline", token, reason });
    assert.throws(() => decodeRequest(body), WireError);
  }
});
