/** The vector runner itself: one vector of cacophony in every form in which files have it. */

import assert from "node:assert/strict";
import { parseVectorFile, VectorFileError } from "./vector_file.ts";
import { runVector, type VectorResult } from "./vector_run.ts";

type Json = Record<string, unknown>;

/** Noise_XX_25519_ChaChaPoly_SHA256 of cacophony (Unlicense). */
const XX: Json & { messages: Json[] } = {
  protocol_name: "Noise_XX_25519_ChaChaPoly_SHA256",
  init_prologue: "4a6f686e2047616c74",
  init_static: "e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1",
  init_ephemeral: "893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a",
  resp_prologue: "4a6f686e2047616c74",
  resp_static: "4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893",
  resp_ephemeral: "bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b",
  handshake_hash: "c8e5f64e846193be2a834104c2a009868d6c9f3bd3c186299888b488b2f1f58e",
  messages: [
    {
      payload: "4c756477696720766f6e204d69736573",
      ciphertext:
        "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79444c756477696720766f6e204d69736573",
    },
    {
      payload: "4d757272617920526f746862617264",
      ciphertext:
        "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f14480884381cbad1f276e038c48378ffce2b65285e08d6b68aaa3629a5a8639392490e5b9bd5269c2f1e4f488ed8831161f19b7815528f8982ffe09be9b5c412f8a0db50f8814c7194e83f23dbd8d162c9326ad",
    },
    {
      payload: "462e20412e20486179656b",
      ciphertext:
        "c7195ffacac1307ff99046f219750fc47693e23c3cb08b89c2af808b444850a80ae475b9df0f169ae80a89be0865b57f58c9fea0d4ec82a286427402f113e4b6ae769a1d95941d49b25030",
    },
    {
      payload: "4361726c204d656e676572",
      ciphertext: "96763ed773f8e47bb3712f0e29b3060ffc956ffc146cee53d5e1df",
    },
    {
      payload: "4a65616e2d426170746973746520536179",
      ciphertext: "3e40f15f6f3a46ae446b253bf8b1d9ffb6ed9b174d272328ff91a7e2e5c79c07f5",
    },
    {
      payload: "457567656e2042f6686d20766f6e2042617765726b",
      ciphertext: "eb3f3515110702e047a6c9da4478b6ead94873c11c0f2d710ddb3f09fce024b3a58502ae3f",
    },
  ],
};

const FORMS: Record<string, unknown> = {
  "as cacophony has it": { vectors: [XX] },
  "in a bare list": [XX],
  "under another key, among other fields": { note: "x", sources: ["a", { b: 1 }], mine: [XX] },
  "with unknown fields": { vectors: [{ ...XX, comment: "x", messages: withExtras() }] },
  "without a handshake hash": { vectors: [{ ...XX, handshake_hash: null }] },
  "in upper case": JSON.parse(upperCaseHex(JSON.stringify({ vectors: [XX] }))),
  "named by name": { vectors: [{ ...XX, protocol_name: undefined, name: XX.protocol_name }] },
  "named in parts": {
    vectors: [{
      ...XX,
      protocol_name: undefined,
      name: "number 1",
      pattern: "XX",
      dh: "25519",
      cipher: "ChaChaPoly",
      hash: "SHA256",
    }],
  },
  "with one prologue": {
    vectors: [{
      ...XX,
      init_prologue: undefined,
      resp_prologue: undefined,
      prologue: XX.init_prologue,
    }],
  },
  "with keys and pre-shared keys that XX has no use for": {
    vectors: [{ ...XX, init_remote_static: XX.init_static, init_psks: [XX.init_static] }],
  },
  // The same ciphertexts with the initiator's cipher state first behind the three handshake messages.
  "with transport messages in flynn's order": {
    vectors: [{ ...XX, messages: [0, 1, 2, 4, 3].map((index) => XX.messages[index]) }],
  },
  "with a last message that must fail, and does": {
    vectors: [{ ...XX, fail: true, messages: changedLast((text) => text.replace(/3f$/, "3e")) }],
  },
  "with a last handshake message that must fail, and does": {
    vectors: [{ ...XX, fail: true, init_prologue: "00", messages: XX.messages.slice(0, 2) }],
  },
};

for (const [form, file] of Object.entries(FORMS)) {
  Deno.test(`runVector() passes a vector ${form}`, () => {
    assert.deepEqual(resultsOf(file), [{ outcome: "passed" }]);
  });
}

const WRONG: Record<string, unknown> = {
  "a ciphertext differs": {
    vectors: [{ ...XX, messages: changedLast((text) => "00" + text.slice(2)) }],
  },
  "the handshake hash differs": { vectors: [{ ...XX, handshake_hash: "00".repeat(32) }] },
  "a key differs": { vectors: [{ ...XX, resp_static: "11".repeat(32) }] },
  "a key is missing": { vectors: [{ ...XX, resp_static: undefined }] },
  "the prologues differ": { vectors: [{ ...XX, resp_prologue: "00" }] },
  "a split key differs": { vectors: [{ ...XX, cs2_k: "00".repeat(32) }] },
  "the last message must fail and does not": { vectors: [{ ...XX, fail: true }] },
  "the last message must fail and does so only in the wrong order": {
    vectors: [{ ...XX, fail: true, messages: XX.messages.slice(0, 4) }],
  },
  "it must fail and an earlier message fails": {
    vectors: [{ ...XX, fail: true, resp_prologue: "00" }],
  },
};

for (const [reason, file] of Object.entries(WRONG)) {
  Deno.test(`runVector() fails a vector when ${reason}`, () => {
    assert.deepEqual(resultsOf(file).map(({ outcome }) => outcome), ["failed"]);
  });
}

for (
  const name of [
    "Noise_XX_25519_ChaChaPoly_SHA3",
    "Noise_XX_P256_ChaChaPoly_SHA256",
    "Noise_XXhfs_25519+NewHope_ChaChaPoly_SHA256",
    "Noise_XXfallback_25519_ChaChaPoly_SHA256",
    "NoisePSK_XX_25519_ChaChaPoly_SHA256",
    "Noise_XX_25519_ChaChaPoly_SHA256_more",
  ]
) {
  Deno.test(`runVector() reports ${name} as unsupported`, () => {
    const results = resultsOf({ vectors: [{ ...XX, protocol_name: name }] });
    assert.deepEqual(results.map(({ outcome }) => outcome), ["unsupported"]);
  });
}

const MALFORMED: Record<string, string> = {
  "not JSON": "{",
  "empty": "",
  "no object": "17",
  "without vectors": "{}",
  "an empty list": '{"vectors": []}',
  "no list": '{"vectors": 3}',
  "a list of strings": '{"vectors": ["x"]}',
  "a vector without messages": JSON.stringify({ vectors: [{ ...XX, messages: undefined }] }),
  "a vector with no message": JSON.stringify({ vectors: [{ ...XX, messages: [] }] }),
  "a message that is a string": JSON.stringify({ vectors: [{ ...XX, messages: ["x"] }] }),
  "a message without ciphertext": JSON.stringify({ vectors: [{ ...XX, messages: [{}] }] }),
  "a key that is not hexadecimal": JSON.stringify({ vectors: [{ ...XX, init_static: "xy" }] }),
  "a key of odd length": JSON.stringify({ vectors: [{ ...XX, init_static: "abc" }] }),
  "a key that is a number": JSON.stringify({ vectors: [{ ...XX, init_static: 5 }] }),
  "a vector without a name": JSON.stringify({ vectors: [{ ...XX, protocol_name: undefined }] }),
};

for (const [what, text] of Object.entries(MALFORMED)) {
  Deno.test(`parseVectorFile() throws VectorFileError for ${what}`, () => {
    assert.throws(() => parseVectorFile(text), VectorFileError);
  });
}

Deno.test("noise_vectors.ts counts, lists what did not pass, and exits 1 when a file is bad", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const write = async (name: string, content: unknown) => {
      await Deno.writeTextFile(`${folder}/${name}`, JSON.stringify(content));
      return `${folder}/${name}`;
    };
    const good = await write("good.json", {
      vectors: [XX, { ...XX, protocol_name: "Noise_XX_P256_ChaChaPoly_SHA256" }],
    });
    const wrong = await write("wrong.json", WRONG["a key differs"]);
    const bad = await write("bad.json", {});

    const passed = await runScript(good);
    assert.equal(passed.code, 0);
    assert.match(passed.stdout, /^unsupported: Noise_XX_P256_ChaChaPoly_SHA256 /);
    assert.equal(passed.lastLine, "1 passed, 0 failed, 1 unsupported");

    const failed = await runScript(good, wrong);
    assert.equal(failed.code, 1);
    assert.match(failed.stdout, /^failed: Noise_XX_25519_ChaChaPoly_SHA256 /m);
    assert.equal(failed.lastLine, "1 passed, 1 failed, 1 unsupported");

    for (const files of [[bad], [good, bad], [`${folder}/absent.json`], []]) {
      const refused = await runScript(...files);
      assert.equal(refused.code, 1);
      assert.match(refused.stderr, /^(error|usage): /);
      assert.match(refused.lastLine, /^[01] passed, 0 failed, [01] unsupported$/);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

async function runScript(...files: readonly string[]) {
  const script = new URL("../../scripts/noise_vectors.ts", import.meta.url).pathname;
  const output = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--no-check", script, ...files],
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  const stdout = decoder.decode(output.stdout);
  const lastLine = stdout.trimEnd().split("\n").at(-1) ?? "";
  return { code: output.code, stdout, stderr: decoder.decode(output.stderr), lastLine };
}

function resultsOf(file: unknown): VectorResult[] {
  return parseVectorFile(JSON.stringify(file)).map(runVector);
}

function changedLast(change: (ciphertext: string) => string): Json[] {
  return XX.messages.map((message, index) =>
    index === 5 ? { ...message, ciphertext: change(String(message.ciphertext)) } : message
  );
}

function withExtras(): Json[] {
  return XX.messages.map((message) => ({ ...message, from: "somebody" }));
}

function upperCaseHex(json: string): string {
  return json.replaceAll(/"[0-9a-f]{10,}"/g, (text) => text.toUpperCase());
}
