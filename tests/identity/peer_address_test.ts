/** `HOST[:PORT]` and `PEER[/SERVICE][@HOST:PORT]`. */

import assert from "node:assert/strict";
import { parseHostPort, parseListenPort } from "../../lib/identity/host_port.ts";
import { parsePeerAddress, parsePeerReference } from "../../lib/identity/peer_address.ts";
import { codeOf, messageFrom } from "./temporary_home.ts";

const ID = "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK";

const HOSTS: readonly (readonly [text: string, host: string, port: number])[] = [
  ["localhost", "localhost", 8765],
  ["localhost:1", "localhost", 1],
  ["relay.example.org:65535", "relay.example.org", 65535],
  ["relay.example.org.", "relay.example.org.", 8765],
  ["my_box-2:8766", "my_box-2", 8766],
  ["192.0.2.1", "192.0.2.1", 8765],
  ["0.0.0.0:80", "0.0.0.0", 80],
  ["[::1]", "::1", 8765],
  ["[2001:db8::5]:8766", "2001:db8::5", 8766],
  ["[::ffff:192.0.2.1]:8766", "::ffff:192.0.2.1", 8766],
  ["[fe80::1%eth0]:8766", "fe80::1%eth0", 8766],
];

for (const [text, host, port] of HOSTS) {
  Deno.test(`parseHostPort() reads ${text}`, () => {
    assert.deepEqual(parseHostPort(text, 8765), { host, port });
  });
}

Deno.test("parseListenPort() reads 0 to 65535 and nothing else", () => {
  for (const [text, port] of [["0", 0], ["8766", 8766], ["65535", 65535]] as const) {
    assert.equal(parseListenPort(text), port);
  }
  for (const text of ["", "65536", "100000", "-1", "+1", "1.5", "0x50", " 80", "80 ", "８０"]) {
    assert.equal(parseListenPort(text), null, text);
  }
});

const BAD_HOSTS: readonly (readonly [text: string, message: RegExp])[] = [
  ["", /neither a name nor an IP address/],
  [":8765", /neither a name nor an IP address/],
  ["a b", /neither a name nor an IP address/],
  ["bücher.example", /neither a name nor an IP address/],
  ["http://localhost", /: leave out "http:\/\/"$/],
  ["https://localhost:8765/x", /: leave out "https:\/\/"$/],
  ["user@localhost", /neither a name nor an IP address/],
  ["-host", /neither a name nor an IP address/],
  ["a..b", /neither a name nor an IP address/],
  ["a".repeat(64), /neither a name nor an IP address/],
  ["a.".repeat(126) + "ab", /neither a name nor an IP address/],
  ["127.1", /neither a name nor an IP address/],
  ["256.0.0.1", /neither a name nor an IP address/],
  ["192.0.2.1.", /neither a name nor an IP address/],
  ["0x7f000001", /neither a name nor an IP address/],
  ["2130706433", /neither a name nor an IP address/],
  ["localhost:", /port is not 1 to 65535/],
  ["localhost:0", /port is not 1 to 65535/],
  ["localhost:65536", /port is not 1 to 65535/],
  ["localhost:080", /port is not 1 to 65535/],
  ["localhost:+80", /port is not 1 to 65535/],
  ["localhost:80 ", /port is not 1 to 65535/],
  ["::1", /IPv6 address is written in brackets/],
  ["[::1", /IPv6 address is written in brackets/],
  ["[]", /what stands in brackets is no IPv6 address/],
  ["[1::2::3]", /what stands in brackets is no IPv6 address/],
  ["[localhost]", /what stands in brackets is no IPv6 address/],
  ["[fe80::1%]", /what stands in brackets is no IPv6 address/],
  ["[fe80::1%a%b]", /what stands in brackets is no IPv6 address/],
  ["[::1]8766", /behind "\]" a ":" is missing/],
  ["[::1]:", /port is not 1 to 65535/],
];

for (const [text, message] of BAD_HOSTS) {
  Deno.test(`parseHostPort() throws address_invalid for ${JSON.stringify(text.slice(0, 30))}`, async () => {
    assert.equal(await codeOf(() => parseHostPort(text, 8765)), "address_invalid");
    assert.match(await messageFrom(() => parseHostPort(text, 8765)), message);
  });
}

Deno.test("parseHostPort() writes examples with the port that is meant", () => {
  assert.throws(() => parseHostPort("http://host.example", 8765), {
    message: 'Cannot read the address "http://host.example": leave out "http://"',
    hints: ["write HOST:PORT, as in host.example:8765, 192.0.2.7:8765 or [2001:db8::7]:8765"],
  });
});

Deno.test("parsePeerAddress() says how a service is probably written when its name is none", () => {
  const advice: [string, string, string][] = [
    [
      "linux/Notes",
      'Cannot use the server name "Notes": it is not 1 to 64 characters of a-z, 0-9, dot, ' +
      "underscore and hyphen after a letter or digit",
      "names of services are lower case; perhaps this is meant: linux/notes",
    ],
    [
      "linux/@host.example",
      'Cannot use the server name "": it is empty',
      "write PEER/SERVICE, or the peer alone: linux",
    ],
  ];
  for (const [text, message, hint] of advice) {
    assert.throws(() => parsePeerAddress(text, 8766), { message, hints: [hint] });
  }
});

Deno.test("parsePeerReference() says how much of a Peer ID is needed when it is too short", () => {
  assert.throws(() => parsePeerReference("z6MkhaXgBZD"), {
    message: "Cannot read the beginning of a Peer ID: it has 11 characters, at least 12 are needed",
  });
});

Deno.test("parseHostPort() throws address_invalid when there is neither a port nor a default", async () => {
  assert.match(await messageFrom(() => parseHostPort("localhost")), /port is missing: HOST:PORT/);
  assert.match(await messageFrom(() => parseHostPort("[::1]")), /port is missing: HOST:PORT/);
});

Deno.test("parseHostPort() shows no control character of what it refuses", async () => {
  assert.match(await messageFrom(() => parseHostPort("a\x1b[2Jb")), /"a\ufffd\[2Jb"/);
});

const ADDRESSES: readonly (readonly [text: string, parts: unknown])[] = [
  [ID, { peer: { kind: "id", id: ID } }],
  [`did:key:${ID}`, { peer: { kind: "id", id: ID } }],
  [`${ID}/files`, { peer: { kind: "id", id: ID }, service: "mcp/files" }],
  [`${ID}/mcp/files`, { peer: { kind: "id", id: ID }, service: "mcp/files" }],
  [`${ID}/messages`, { peer: { kind: "id", id: ID }, service: "messages" }],
  [`${ID}@[::1]:8766`, { peer: { kind: "id", id: ID }, address: { host: "::1", port: 8766 } }],
  [`did:key:${ID}/files@host.example:1`, {
    peer: { kind: "id", id: ID },
    service: "mcp/files",
    address: { host: "host.example", port: 1 },
  }],
  ["bob", { peer: { kind: "petname", text: "bob" } }],
  ["bob/files@192.0.2.1:8766", {
    peer: { kind: "petname", text: "bob" },
    service: "mcp/files",
    address: { host: "192.0.2.1", port: 8766 },
  }],
  ["z6MkhaXgBZDv/files", {
    peer: { kind: "prefix", text: "z6MkhaXgBZDv" },
    service: "mcp/files",
  }],
];

for (const [text, parts] of ADDRESSES) {
  Deno.test(`parsePeerAddress() reads ${text}`, () => {
    assert.deepEqual(parsePeerAddress(text), parts);
  });
}

const BAD_ADDRESSES: readonly (readonly [text: string, code: string])[] = [
  ["", "address_invalid"],
  ["/files", "address_invalid"],
  ["@host:1", "address_invalid"],
  ["bob@", "address_invalid"],
  ["bob@host", "address_invalid"],
  ["bob@host:1@host:1", "address_invalid"],
  ["bob@host:1/files", "address_invalid"],
  ["bob/", "name_invalid"],
  ["bob/Files", "name_invalid"],
  ["bob/talos/control", "name_invalid"],
  ["bo b", "name_invalid"],
  ["did:web:example.org", "name_invalid"],
  ["z6MkhaXgBZD", "peer_id_invalid"],
  ["z6MkhaXgBZDvl", "peer_id_invalid"],
  [ID + "x", "peer_id_invalid"],
  [ID.slice(0, 47) + "l", "peer_id_invalid"],
  ["did:key:bob", "peer_id_invalid"],
];

for (const [text, code] of BAD_ADDRESSES) {
  Deno.test(`parsePeerAddress() answers ${JSON.stringify(text)} with ${code}`, async () => {
    assert.equal(await codeOf(() => parsePeerAddress(text)), code);
  });
}

Deno.test("parsePeerAddress() uses the default port when the address has none", () => {
  assert.deepEqual(parsePeerAddress("bob@host", 8766).address, { host: "host", port: 8766 });
});
