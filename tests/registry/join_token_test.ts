import assert from "node:assert/strict";
import { createLog, SILENT } from "../../lib/log.ts";
import { RegistryError, type RegistryErrorCode } from "../../registry/errors.ts";
import { JoinToken, readJoinToken } from "../../registry/join_token.ts";

const TOKEN = "0123456789abcdef";

/** Runs `body` with the path of a file that holds `text`. */
async function withFile(
  text: string | Uint8Array,
  mode: number,
  body: (path: string) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "talos-test-" });
  try {
    const path = `${folder}/token`;
    await Deno.writeFile(path, typeof text === "string" ? new TextEncoder().encode(text) : text);
    if (Deno.build.os !== "windows") await Deno.chmod(path, mode);
    await body(path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function refused(path: string, code: RegistryErrorCode): Promise<RegistryError> {
  try {
    await readJoinToken(path, SILENT);
  } catch (error) {
    assert.ok(error instanceof RegistryError, String(error));
    assert.equal(error.code, code, error.message);
    return error;
  }
  assert.fail("it was read");
}

Deno.test("JoinToken.matches() is true for the very token alone", () => {
  const token = new JoinToken(TOKEN);
  assert.equal(token.matches(TOKEN), true);
  for (const other of ["", TOKEN + " ", TOKEN.slice(1), TOKEN.toUpperCase(), TOKEN + TOKEN, "\0"]) {
    assert.equal(token.matches(other), false, other);
  }
});

Deno.test("JoinToken shows nothing of the token when it is printed", () => {
  const shown = Deno.inspect(new JoinToken(TOKEN), { showHidden: true }) +
    JSON.stringify(new JoinToken(TOKEN));
  assert.ok(!shown.includes(TOKEN));
});

for (
  const [text, token] of [
    [TOKEN, TOKEN],
    [`${TOKEN}\n`, TOKEN],
    [`  ${TOKEN}\r\n\n`, TOKEN],
    ["x".repeat(256), "x".repeat(256)],
    ["!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~"],
  ] as const
) {
  Deno.test(`readJoinToken() reads ${JSON.stringify(text.slice(0, 40))}`, async () => {
    await withFile(text, 0o600, async (path) => {
      assert.equal((await readJoinToken(path, SILENT)).matches(token), true);
    });
  });
}

for (
  const [text, why] of [
    ["", /not one word/],
    ["0123456789abcde", /15 characters, not 16 to 256/],
    ["x".repeat(257), /257 characters/],
    ["two words and more", /not one word/],
    [`${TOKEN}\n${TOKEN}`, /not one word/],
    ["pässwörter-sind-lang", /not one word/],
    ["x".repeat(5000), /longer than 4096 bytes/],
    [Uint8Array.of(0xff, 0xfe), /Cannot use the join token/],
  ] as const
) {
  Deno.test(`readJoinToken() refuses ${JSON.stringify(text.slice(0, 30))} of ${text.length}`, async () => {
    await withFile(text, 0o600, async (path) => {
      const { message } = await refused(path, "token_invalid");
      assert.match(message, why);
      if (typeof text === "string" && text.length > 4) assert.ok(!message.includes(text));
    });
  });
}

Deno.test("readJoinToken() refuses a file that is missing or a folder", async () => {
  await withFile(TOKEN, 0o600, async (path) => {
    assert.match((await refused(`${path}2`, "token_invalid")).message, /there is no file/);
    await refused(path.replace(/\/token$/, ""), "token_invalid");
  });
});

Deno.test({
  name: "readJoinToken() warns, as peers do, when others can read the file, and takes it",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    for (const mode of [0o640, 0o604, 0o620, 0o601]) {
      await withFile(TOKEN, mode, async (path) => {
        const lines: string[] = [];
        const write = (line: string) => void lines.push(line);
        const log = createLog({ write, level: "info", json: false, now: () => 0 });
        assert.equal((await readJoinToken(path, log)).matches(TOKEN), true);
        assert.deepEqual(lines, [
          `talos: warning: others can read the join token path=${path} cure="run: chmod 600 ${path}"`,
        ]);
      });
    }
  },
});
