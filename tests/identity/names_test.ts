/** Names: which are allowed, and what services are called on the wire and by people. */

import assert from "node:assert/strict";
import { IdentityError } from "../../lib/identity/errors.ts";
import {
  CONTROL_SERVICE,
  DEFAULT_SERVER,
  foldServerName,
  mcpService,
  MESSAGES_SERVICE,
  parsePetname,
  parseServerName,
  parseServiceName,
  parseTypedService,
  parseWalletName,
  serverOf,
  serviceLabel,
} from "../../lib/identity/names.ts";

function refuses(parse: (text: string) => unknown, text: string, message: RegExp): void {
  assert.throws(
    () => parse(text),
    (error) =>
      error instanceof IdentityError && error.code === "name_invalid" &&
      message.test(error.message),
    JSON.stringify(text),
  );
}

Deno.test("parseWalletName() accepts what the runbook uses and what people are called", () => {
  for (
    const name of ["<Role/Name>", "LinuxBox", "Ops @ night", "Анна Müller", "👩‍💻", "a".repeat(64)]
  ) {
    assert.equal(parseWalletName(name), name);
  }
});

Deno.test("parseWalletName() gives normal form C when the text is decomposed", () => {
  assert.equal(parseWalletName("Mu\u0308ller"), "M\u00fcller");
});

Deno.test("parseWalletName() throws name_invalid when the name is not printable text of 64 bytes", () => {
  refuses(parseWalletName, "", /it is empty/);
  refuses(parseWalletName, " ", /begins or ends with a space/);
  refuses(parseWalletName, "a ", /begins or ends with a space/);
  refuses(parseWalletName, "a".repeat(65), /it has 65 bytes, the limit is 64/);
  refuses(parseWalletName, "ü".repeat(33), /it has 66 bytes/);
  for (
    const bad of ["\n", "\x1b", "\x7f", "\u009b", "\u202e", "\u2066", "\u2028", "\ufeff", "\ud800"]
  ) {
    refuses(parseWalletName, `a${bad}b`, /character 2 is not printable/);
  }
});

Deno.test("parsePetname() accepts a word of any script", () => {
  for (const name of ["bob", "Bob's-laptop", "büro", "анна", "a".repeat(64)]) {
    assert.equal(parsePetname(name), name);
  }
});

Deno.test("parsePetname() throws name_invalid when the name could be mistaken for something else", () => {
  refuses(parsePetname, "", /it is empty/);
  refuses(parsePetname, "a b", /it has a space/);
  refuses(parsePetname, "a\u00a0b", /it has a space/);
  refuses(parsePetname, "a/b", /it has a "\/"/);
  refuses(parsePetname, "a@b", /it has an "@"/);
  refuses(parsePetname, "-a", /it begins with "-"/);
  refuses(parsePetname, "z6Mkbob", /it begins like a Peer ID/);
  refuses(parsePetname, "did:key:bob", /it begins like a Peer ID/);
  refuses(parsePetname, "bo\u200db", /it has an invisible character/);
  refuses(parsePetname, "bob\u00ad", /it has an invisible character/);
  refuses(parsePetname, "bob\u{e0041}", /it has an invisible character/);
  refuses(parsePetname, "a".repeat(65), /it has 65 bytes/);
});

Deno.test("parseServerName() accepts 1 to 64 of its alphabet", () => {
  for (const name of ["default", "a", "0", "git.hub_2-x", "a".repeat(64), "a.", "nul"]) {
    assert.equal(parseServerName(name), name);
  }
});

Deno.test("parseServerName() throws name_invalid for anything else", () => {
  for (
    const name of ["A", "-a", ".a", "_a", "a b", "a/b", "a@b", "ä", "*", "a".repeat(65), "a\n"]
  ) {
    refuses(parseServerName, name, /it is not 1 to 64 characters/);
  }
  refuses(parseServerName, "", /^Cannot use the server name "": it is empty$/);
  refuses(
    parseServerName,
    "messages",
    /^Cannot use the server name "messages": that is a service of its own$/,
  );
});

Deno.test("parseServerName() quotes a wrong name, without its control characters, when it refuses it", () => {
  refuses(
    parseServerName,
    "My\u001b[2JNotes",
    /^Cannot use the server name "My\ufffd\[2JNotes": it is not 1 to 64 characters of a-z, /,
  );
});

Deno.test("foldServerName() returns the nearest server name, or null when none is near", () => {
  const folded: [string, string | null][] = [
    ["GitHub", "github"],
    ["My Files", "my-files"],
    ["Zürich (test)", "zurich-test"],
    ["../x", "x"],
    ["__proto__", "proto__"],
    ["a.b_c-2", "a.b_c-2"],
    ["a".repeat(64), "a".repeat(64)],
    ["a".repeat(65), null],
    ["Messages", null],
    ["", null],
    ["!?", null],
    ["日本", null],
  ];
  for (const [text, name] of folded) assert.equal(foldServerName(text), name, text);
});

Deno.test("parseServiceName() accepts messages and mcp/<name> and nothing else", () => {
  assert.equal(parseServiceName("messages"), "messages");
  assert.equal(parseServiceName("mcp/default"), "mcp/default");
  for (
    const text of [
      "",
      "mcp",
      "mcp/",
      "mcp/A",
      "mcp/messages",
      "mcp/a/b",
      "default",
      "*",
      CONTROL_SERVICE,
    ]
  ) {
    refuses(parseServiceName, text, /neither "messages" nor "mcp\/"/);
  }
});

Deno.test("parseTypedService() gives the wire form of what a person means", () => {
  assert.equal(parseTypedService("files"), "mcp/files");
  assert.equal(parseTypedService("mcp/files"), "mcp/files");
  assert.equal(parseTypedService("messages"), "messages");
  refuses(parseTypedService, CONTROL_SERVICE, /server name/);
  refuses(parseTypedService, "mcp/mcp/files", /server name/);
});

Deno.test("serverOf() and serviceLabel() go the other way", () => {
  assert.equal(mcpService(DEFAULT_SERVER), "mcp/default");
  assert.equal(serverOf(parseServiceName("mcp/files")), "files");
  assert.equal(serverOf(MESSAGES_SERVICE), null);
  assert.equal(serviceLabel(parseServiceName("mcp/files")), "files");
  assert.equal(serviceLabel(MESSAGES_SERVICE), "messages");
});
