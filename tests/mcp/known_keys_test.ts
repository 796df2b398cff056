import assert from "node:assert/strict";
import { utf8 } from "../../lib/bytes.ts";
import { ENVELOPE_KEYS, foldKey, KnownKeys, PARAMS_KEYS } from "../../lib/mcp/known_keys.ts";

/** Whether a parser that ignores case, by any of the rules in use, may take `character` for ASCII text. */
function mayReadAs(character: string): string | null {
  const forms = [
    character.toLowerCase(),
    character.toUpperCase().toLowerCase(),
    character.toLowerCase().toUpperCase().toLowerCase(),
  ];
  const ascii = forms.find((form) => /^[a-z]+$/.test(form));
  if (ascii !== undefined) return ascii;
  // Simple case folding, as regular expressions do it.
  const pattern = /^[a-z]$/iu;
  if (!pattern.test(character)) return null;
  return [..."abcdefghijklmnopqrstuvwxyz"].find((letter) =>
    new RegExp(`^${letter}$`, "iu").test(character)
  ) ?? null;
}

Deno.test("foldKey() folds every character that Unicode maps to ASCII letters", () => {
  const beyondAscii: string[] = [];
  for (let point = 0; point <= 0x10ffff; point++) {
    if (point >= 0xd800 && point < 0xe000) continue;
    const character = String.fromCodePoint(point);
    const read = mayReadAs(character);
    if (read === null) continue;
    assert.equal(foldKey(character), read, `U+${point.toString(16)}`);
    if (point >= 0x80) beyondAscii.push(character);
  }
  // İ is not among them: it lower-cases to two characters here, and to i in Java.
  assert.deepEqual(beyondAscii, [..."ßıſẞ\u212aﬀﬁﬂﬃﬄﬅﬆ"]);
  assert.equal(foldKey("İd"), "id");
});

Deno.test("foldKey() leaves alone what only looks alike", () => {
  for (const name of ["nаme", "ｎame", "name\u0301", "na\u200bme", " name", "name\0"]) {
    assert.notEqual(foldKey(name), "name", JSON.stringify(name));
  }
});

Deno.test("KnownKeys tells known names from names that only fold to one", () => {
  const keys = new KnownKeys(PARAMS_KEYS);
  for (const name of PARAMS_KEYS) {
    assert.ok(keys.has(name) && !keys.imitates(name), name);
    assert.ok(!keys.has(name.toUpperCase()) && keys.imitates(name.toUpperCase()), name);
  }
  for (
    const name of ["urı", "argumentſ", "tas\u212a", "meßage", "ﬆatus", "clientinfo", "RequestID"]
  ) {
    assert.ok(!keys.has(name) && keys.imitates(name), name);
  }
  for (const name of ["", "x", "nam", "names", "__proto__", "constructor", "toString"]) {
    assert.ok(!keys.has(name) && !keys.imitates(name), name);
  }
});

Deno.test("KnownKeys.excludes() never excludes a known name or one that folds to it", () => {
  for (const names of [ENVELOPE_KEYS, PARAMS_KEYS]) {
    const keys = new KnownKeys(names);
    const excludes = (json: string) => {
      const bytes = utf8(`"${json}"`);
      return keys.excludes(bytes, 1, bytes.length - 1);
    };
    for (const name of names) {
      const escaped = [...name].map((letter) =>
        `\\u${letter.charCodeAt(0).toString(16).padStart(4, "0")}`
      ).join("");
      const forms = [
        name,
        name.toUpperCase(),
        escaped,
        name.replace("s", "ſ"),
        name.replace("k", "K"),
      ];
      for (const form of forms) assert.ok(!excludes(form), form);
    }
    assert.ok(excludes(""));
    assert.ok(excludes("zzzz"));
    assert.ok(excludes("x".repeat(100)));
    assert.ok(excludes("\\u0061".repeat(17)));
  }
});

Deno.test("ENVELOPE_KEYS and PARAMS_KEYS hold what MCP 2024-11-05 to 2026-07-28 defines", () => {
  assert.deepEqual(ENVELOPE_KEYS, ["jsonrpc", "id", "method", "params", "result", "error"]);
  assert.equal(
    PARAMS_KEYS.join(" "),
    "_meta argument arguments capabilities clientInfo context createdAt cursor data elicitationId " +
      "includeContext inputResponses lastUpdatedAt level logger maxTokens message messages " +
      "metadata mode modelPreferences name notifications pollInterval progress progressToken " +
      "protocolVersion reason ref requestId requestState requestedSchema status statusMessage " +
      "stopSequences systemPrompt task taskId temperature toolChoice tools total ttl uri url",
  );
});
