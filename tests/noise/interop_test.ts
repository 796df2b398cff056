/**
 * Handshakes and transport messages with an independent implementation: noise-c, compiled to
 * WebAssembly. Its ephemeral keys are its own, so no bytes are compared: each side must understand the
 * other. It knows no ML-KEM; the vectors stand for that.
 */

import assert from "node:assert/strict";
import noiseC from "noise-c.wasm";
import { type Bytes, EMPTY, hex, utf8 } from "../../lib/bytes.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import { generateX25519KeyPair, type X25519KeyPair } from "../../lib/crypto/x25519.ts";
import { HandshakeState } from "../../lib/noise/handshake_state.ts";
import { handshakePattern, keyNeeds, type Role } from "../../lib/noise/patterns.ts";
import { vectorSuite } from "./vector_suites.ts";

/** What is used here of the package, which has no types. */
interface NoiseC {
  readonly constants: Readonly<Record<string, number>>;
  readonly HandshakeState: new (protocolName: string, role: number) => ForeignHandshake;
}

interface ForeignHandshake {
  Initialize(prologue: Bytes | null, s: Bytes | null, rs: Bytes | null, psk: Bytes | null): void;
  WriteMessage(payload: Bytes | null): Uint8Array;
  ReadMessage(message: Bytes, payloadNeeded: boolean): Uint8Array;
  GetHandshakeHash(): Uint8Array;
  Split(): [ForeignCipher, ForeignCipher];
  free(): void;
}

interface ForeignCipher {
  EncryptWithAd(ad: Bytes, plaintext: Bytes): Uint8Array;
  DecryptWithAd(ad: Bytes, ciphertext: Bytes): Uint8Array;
  free(): void;
}

type CreateNoiseC = (
  options: { readonly printErr: (line: string) => void },
  whenReady: (library: NoiseC) => void,
) => void;

const createNoiseC: CreateNoiseC = noiseC;
// It complains that it cannot stream its code from a file, and then reads it.
const library = await new Promise<NoiseC>((done) => createNoiseC({ printErr: () => {} }, done));

const PROLOGUE = utf8("talos interop");
const copy = (bytes: Uint8Array): Bytes => new Uint8Array(bytes);
const randomKeyPair = () => generateX25519KeyPair(systemRandom);
const otherRole = (role: Role): Role => role === "initiator" ? "responder" : "initiator";

for (const patternName of ["IK", "XX", "XK", "NX", "KK"]) {
  for (const suiteName of ["25519_ChaChaPoly_SHA256", "25519_AESGCM_BLAKE2s"]) {
    for (const role of ["initiator", "responder"] as const) {
      const protocol = `Noise_${patternName}_${suiteName}`;
      Deno.test(`HandshakeState as ${role} of ${protocol} understands noise-c`, () => {
        for (let round = 0; round < 3; round++) runWithNoiseC(patternName, suiteName, role);
      });
    }
  }
}

Deno.test("noise-c refuses a transport message of ours with one bit flipped, and we refuse its", () => {
  const { ours, foreign } = handshake("IK", "25519_ChaChaPoly_SHA256", "initiator");
  const [foreignSend, foreignReceive] = foreign;
  const forged = ours.send.encryptWithAd(EMPTY, utf8("x"));
  forged[0] = (forged[0] ?? 0) ^ 1;
  assert.throws(() => foreignReceive.DecryptWithAd(EMPTY, forged), /MAC_FAILURE/);
  const foreignForged = copy(foreignSend.EncryptWithAd(EMPTY, utf8("x")));
  foreignForged[0] = (foreignForged[0] ?? 0) ^ 1;
  assert.throws(() => ours.receive.decryptWithAd(EMPTY, foreignForged), { code: "decrypt_failed" });
  for (const cipher of foreign) cipher.free();
});

function runWithNoiseC(patternName: string, suiteName: string, role: Role): void {
  const { ours, foreign } = handshake(patternName, suiteName, role);
  const [foreignSend, foreignReceive] = foreign;
  for (let n = 0; n < 20; n++) {
    const [ad, text] = [systemRandom(n), systemRandom(n * 97)];
    const sent = ours.send.encryptWithAd(ad, text);
    assert.equal(hex(copy(foreignReceive.DecryptWithAd(ad, sent))), hex(text));
    const received = copy(foreignSend.EncryptWithAd(ad, text));
    assert.equal(hex(ours.receive.decryptWithAd(ad, received)), hex(text));
  }
  for (const cipher of foreign) cipher.free();
}

/** Runs a whole handshake with a payload in each message and returns both ends of the channel. */
function handshake(patternName: string, suiteName: string, role: Role) {
  const pattern = handshakePattern(patternName);
  const suite = vectorSuite(suiteName) ?? assert.fail(`no suite ${suiteName}`);
  const [ourStatic, foreignStatic] = [randomKeyPair(), randomKeyPair()];
  const needs = keyNeeds(pattern, role);
  const ours = new HandshakeState({
    pattern,
    suite,
    role,
    prologue: PROLOGUE,
    s: needs.s ? ourStatic : undefined,
    e: randomKeyPair(),
    rs: needs.rs ? foreignStatic.publicKey : undefined,
  });
  const foreign = foreignHandshake(
    `Noise_${patternName}_${suiteName}`,
    otherRole(role),
    foreignStatic,
    ourStatic,
  );
  pattern.messages.forEach(({ from }, index) => {
    const payload = systemRandom(index * 50);
    if (from === role) {
      const message = ours.writeMessage(payload);
      assert.equal(hex(copy(foreign.ReadMessage(message, true))), hex(payload));
    } else {
      const message = copy(foreign.WriteMessage(payload));
      assert.equal(hex(ours.readMessage(message)), hex(payload));
    }
  });
  const foreignHash = copy(foreign.GetHandshakeHash());
  const transport = ours.split();
  assert.equal(hex(transport.handshakeHash), hex(foreignHash));
  const foreignSendsItsKey = keyNeeds(pattern, otherRole(role)).s;
  if (foreignSendsItsKey) {
    assert.equal(hex(ours.remoteStatic ?? EMPTY), hex(foreignStatic.publicKey));
  }
  return { ours: transport, foreign: foreign.Split() };
}

function foreignHandshake(
  protocol: string,
  role: Role,
  own: X25519KeyPair,
  remote: X25519KeyPair,
): ForeignHandshake {
  const { constants } = library;
  const number = role === "initiator"
    ? constants.NOISE_ROLE_INITIATOR
    : constants.NOISE_ROLE_RESPONDER;
  const state = new library.HandshakeState(protocol, number ?? assert.fail("no such constant"));
  state.Initialize(PROLOGUE, own.secretKey, remote.publicKey, null);
  return state;
}
