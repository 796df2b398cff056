/** Patterns: the tables, the modifiers, and what each role needs. */

import assert from "node:assert/strict";
import {
  type HandshakePattern,
  handshakePattern,
  keyNeeds,
  type PatternLine,
  PATTERNS,
} from "../../lib/noise/patterns.ts";
import { protocolName } from "../../lib/noise/handshake_options.ts";
import { TALOS_SUITE } from "../../lib/noise/suite.ts";
import { VECTOR_PATTERNS } from "./vector_patterns.ts";

const notation = ({ from, tokens }: PatternLine) =>
  `${from === "initiator" ? "->" : "<-"} ${tokens.join(", ")}`;

const text = ({ preMessages, messages }: HandshakePattern) => [
  ...preMessages.map(notation),
  "...",
  ...messages.map(notation),
];

Deno.test("handshakePattern() of IKhfs has the tokens of the Talos handshake, in order", () => {
  assert.deepEqual(text(handshakePattern("IKhfs")), [
    "<- s",
    "...",
    "-> e, es, e1, s, ss",
    "<- e, ee, ekem1, se",
  ]);
});

Deno.test("handshakePattern() puts e1 and ekem1 where hfs says", () => {
  const hfs = (name: string) => text(handshakePattern(name, VECTOR_PATTERNS));
  assert.deepEqual(hfs("XXhfs"), ["...", "-> e, e1", "<- e, ee, ekem1, s, es", "-> s, se"]);
  assert.deepEqual(hfs("NNhfs"), ["...", "-> e, e1", "<- e, ee, ekem1"]);
  assert.deepEqual(hfs("KKhfs"), [
    "-> s",
    "<- s",
    "...",
    "-> e, es, e1, ss",
    "<- e, ee, ekem1, se",
  ]);
  assert.deepEqual(hfs("XKhfs+psk3"), [
    "<- s",
    "...",
    "-> e, es, e1",
    "<- e, ee, ekem1",
    "-> s, se, psk",
  ]);
});

Deno.test("handshakePattern() puts psk tokens where §9.4 says", () => {
  assert.deepEqual(text(handshakePattern("NXpsk2")), ["...", "-> e", "<- e, ee, s, es, psk"]);
  assert.deepEqual(text(handshakePattern("IKpsk0")).at(-2), "-> psk, e, es, s, ss");
  assert.deepEqual(text(handshakePattern("IKpsk1")).at(-2), "-> e, es, s, ss, psk");
  assert.deepEqual(text(handshakePattern("XXpsk0+psk1+psk3")), [
    "...",
    "-> psk, e, psk",
    "<- e, ee, s, es",
    "-> s, se, psk",
  ]);
});

Deno.test("handshakePattern() gives every table's text back when there is no modifier", () => {
  for (const table of [PATTERNS, VECTOR_PATTERNS]) {
    for (const [name, lines] of Object.entries(table)) {
      const expected = lines.includes("...") ? lines : ["...", ...lines];
      assert.deepEqual(text(handshakePattern(name, table)), expected);
    }
  }
});

Deno.test("handshakePattern() applies modifiers to a copy", () => {
  handshakePattern("IKhfs");
  handshakePattern("IKpsk1");
  assert.deepEqual(text(handshakePattern("IK")), [
    "<- s",
    "...",
    "-> e, es, s, ss",
    "<- e, ee, se",
  ]);
});

for (
  const name of [
    "",
    "ZZ",
    "NN",
    "ik",
    "IKfallback",
    "IKpsk3",
    "IKpsk",
    "IKpsk1+",
    "IK+psk1",
    "IKhfs psk1",
    "constructor",
    "IKhfs+hfs2",
  ]
) {
  Deno.test(`handshakePattern() throws bad_pattern for "${name}"`, () => {
    assert.throws(() => handshakePattern(name), { code: "bad_pattern" });
  });
}

Deno.test("handshakePattern() throws bad_pattern for hfs on a one-way pattern", () => {
  assert.throws(() => handshakePattern("Xhfs", VECTOR_PATTERNS), { code: "bad_pattern" });
});

Deno.test("handshakePattern() throws bad_pattern when a table has a line it cannot read", () => {
  for (const line of ["e, es", "-> e, em", "-> ", "-> e,es"]) {
    assert.throws(() => handshakePattern("A", { A: [line] }), { code: "bad_pattern" });
  }
});

Deno.test("keyNeeds() names what each role brings", () => {
  const none = { s: false, e: false, rs: false, psks: 0, kemSeed: false, kemRandom: false };
  const needs = (name: string, role: "initiator" | "responder") =>
    keyNeeds(handshakePattern(name, VECTOR_PATTERNS), role);
  assert.deepEqual(needs("IKhfs", "initiator"), {
    ...none,
    s: true,
    e: true,
    rs: true,
    kemSeed: true,
  });
  assert.deepEqual(needs("IKhfs", "responder"), { ...none, s: true, e: true, kemRandom: true });
  assert.deepEqual(needs("NX", "initiator"), { ...none, e: true });
  assert.deepEqual(needs("XXpsk0+psk3", "responder"), { ...none, s: true, e: true, psks: 2 });
  assert.deepEqual(needs("KK", "responder"), { ...none, s: true, e: true, rs: true });
  assert.deepEqual(needs("N", "responder"), { ...none, s: true });
});

Deno.test("protocolName() names the KEM only where the pattern uses it", () => {
  assert.equal(
    protocolName(handshakePattern("IKhfs"), TALOS_SUITE),
    "Noise_IKhfs_25519+MLKEM768_ChaChaPoly_SHA256",
  );
  assert.equal(
    protocolName(handshakePattern("XXpsk3"), TALOS_SUITE),
    "Noise_XXpsk3_25519_ChaChaPoly_SHA256",
  );
});
