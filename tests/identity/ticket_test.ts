import assert from "node:assert/strict";

import { base64url, concat, fromBase64url, utf8 } from "../../lib/bytes.ts";
import { sha256 } from "../../lib/crypto/sha256.ts";
import { IdentityError } from "../../lib/identity/errors.ts";
import { mcpService, MESSAGES_SERVICE, parseServerName } from "../../lib/identity/names.ts";
import { decodeTicket, encodeTicket, type Ticket } from "../../lib/identity/ticket.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { codeOf, samplePeer } from "./temporary_home.ts";

const HOST = samplePeer(1);
const REGISTRY = samplePeer(2);
const SECRET = new Uint8Array(16).fill(0xab);
const EXPIRES = 1_800_000_000_000;

const SMALL: Ticket = {
  host: HOST,
  service: mcpService(parseServerName("default")),
  secret: SECRET,
  expires: EXPIRES,
  addresses: [{ host: "192.0.2.7", port: 8766 }],
};

const LARGE: Ticket = {
  ...SMALL,
  service: mcpService(parseServerName("notes")),
  registry: { id: REGISTRY, host: "198.51.100.9", port: 8765 },
  addresses: [{ host: "192.0.2.7", port: 8766 }],
  token: "dGhpcyBpcyBubyB0b2tl",
};

/** Returns the ticket of these bytes with the right checksum, whatever they say. */
function sealed(bytes: Uint8Array): string {
  const checksum = sha256(utf8("talos/1 ticket\0"), bytes).subarray(0, 4);
  return `talos:${base64url(concat(bytes, checksum))}`;
}

function bytesOf(ticket: Ticket): Uint8Array {
  return fromBase64url(encodeTicket(ticket).slice("talos:".length)).slice(0, -4);
}

function patched(ticket: Ticket, at: number, ...values: readonly number[]): string {
  const bytes = bytesOf(ticket);
  bytes.set(values, at);
  return sealed(bytes);
}

Deno.test("encodeTicket() writes the bytes of the protocol", () => {
  const bytes = bytesOf(SMALL);
  assert.equal(bytes.length, 62);
  assert.equal(bytes.subarray(0, 2).toHex(), "0101", "version, one address");
  assert.equal(
    bytes.subarray(2, 34).toHex(),
    "8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c",
    "the host's key",
  );
  assert.equal(bytes.subarray(34, 50).toHex(), "ab".repeat(16), "the secret");
  assert.equal(bytes.subarray(50, 54).toHex(), "6b49d200", "1,800,000,000 s");
  assert.equal(bytes.subarray(54, 55).toHex(), "00", "default");
  assert.equal(bytes.subarray(55).toHex(), "fe" + "c0000207" + "223e", "192.0.2.7:8766");
  assert.equal(encodeTicket(SMALL).length, 94);
});

Deno.test("decodeTicket() returns what encodeTicket() was given", () => {
  assert.deepEqual(decodeTicket(encodeTicket(SMALL)), SMALL);
  assert.deepEqual(decodeTicket(encodeTicket(LARGE)), LARGE);
  const named: Ticket = {
    ...SMALL,
    registry: { id: REGISTRY, host: "registry.example.org", port: 1 },
    addresses: [{ host: "2001:db8::7", port: 65_535 }],
  };
  assert.deepEqual(decodeTicket(encodeTicket(named)), named);
  const three: Ticket = {
    ...SMALL,
    addresses: ["2001:db8::7", "host.example", "10.0.0.1"].map((host) => ({ host, port: 8766 })),
  };
  assert.deepEqual(decodeTicket(encodeTicket(three)), three);
});

Deno.test("decodeTicket() passes over white space, as mail puts it in", () => {
  const text = encodeTicket(LARGE);
  assert.deepEqual(decodeTicket(` ${text.slice(0, 70)}\r\n  ${text.slice(70)}\n`), LARGE);
});

Deno.test("decodeTicket() says that a ticket was altered when any one character is another", async () => {
  const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (const ticket of [SMALL, LARGE]) {
    const text = encodeTicket(ticket);
    for (let at = "talos:".length; at < text.length; at++) {
      for (const character of [...alphabet, "=", "."]) {
        if (character === text[at]) continue;
        const altered = text.slice(0, at) + character + text.slice(at + 1);
        assert.equal(await codeOf(() => decodeTicket(altered)), "ticket_invalid");
      }
      const swapped = text.slice(0, at) + text.slice(at + 1);
      assert.equal(await codeOf(() => decodeTicket(swapped)), "ticket_invalid");
    }
    assert.throws(() => decodeTicket(text.slice(0, 50) + "!" + text.slice(51)), {
      message: "Cannot read the ticket: it was altered or cut on its way",
    });
  }
});

Deno.test("decodeTicket() says that a ticket was cut when its beginning or end is missing", () => {
  const text = encodeTicket(LARGE);
  for (let length = "talos:".length; length < text.length; length++) {
    assert.throws(() => decodeTicket(text.slice(0, length)), {
      code: "ticket_invalid",
      message: "Cannot read the ticket: it was altered or cut on its way",
    });
  }
  assert.throws(() => decodeTicket(text.slice(1)), {
    message: 'Cannot read the ticket: it does not begin with "talos:"',
  });
  assert.throws(() => decodeTicket(text + "A".repeat(200)), {
    message: /^Cannot read the ticket: it has \d+ characters, a ticket has at most 199$/,
  });
});

Deno.test("decodeTicket() says which version it knows when a ticket is of another", () => {
  assert.throws(() => decodeTicket(patched(SMALL, 0, 2)), {
    code: "ticket_invalid",
    message: "Cannot read the ticket: it has version 2, this program knows version 1",
  });
});

Deno.test("decodeTicket() refuses what somebody made up, checksum and all", async () => {
  const refused: Record<string, string> = {
    "an unknown flag": patched(SMALL, 1, 0x11),
    "more addresses than there are": patched(SMALL, 1, 0x02),
    "fewer addresses than there are": patched(SMALL, 1, 0x00),
    "a token that is not there": patched(SMALL, 1, 0x09),
    "a key of small order": patched(SMALL, 2, ...new Uint8Array(32)),
    "a name longer than the rest": patched(SMALL, 54, 200),
    "port 0": patched(SMALL, 60, 0, 0),
    "nothing": sealed(new Uint8Array(0)),
    "a version alone": sealed(Uint8Array.of(1)),
  };
  for (const [what, text] of Object.entries(refused)) {
    assert.equal(await codeOf(() => decodeTicket(text)), "ticket_invalid", what);
  }
});

Deno.test("decodeTicket() refuses a second form of the same ticket", async () => {
  const start = bytesOf(SMALL).subarray(0, 54);
  const place = (...bytes: readonly (string | number)[]) =>
    concat(...bytes.map((part) => typeof part === "string" ? utf8(part) : Uint8Array.of(part)));
  const forms: Record<string, Uint8Array> = {
    "default by name": place(7, "default", 254, 192, 0, 2, 7, 0x22, 0x3e),
    "an IPv4 address as a name": place(0, 9, "192.0.2.7", 0x22, 0x3e),
    "an IPv6 address as a name": place(0, 5, "[::1]", 0x22, 0x3e),
    "a name that is none": place(0, 3, "a b", 0x22, 0x3e),
    "a name that is not UTF-8": place(0, 1, 0xff, 0x22, 0x3e),
    "a server that cannot be": place(3, "../", 254, 192, 0, 2, 7, 0x22, 0x3e),
    "messages": place(8, "messages", 254, 192, 0, 2, 7, 0x22, 0x3e),
    "a byte more": place(0, 254, 192, 0, 2, 7, 0x22, 0x3e, 0),
  };
  for (const [what, rest] of Object.entries(forms)) {
    const text = sealed(concat(start, rest));
    assert.equal(await codeOf(() => decodeTicket(text)), "ticket_invalid", what);
  }
});

Deno.test("encodeTicket() throws ticket_too_long beyond 199 characters", () => {
  const long = { ...LARGE, token: "x".repeat(60) };
  assert.throws(() => encodeTicket(long), {
    code: "ticket_too_long",
    message: "Cannot make a ticket: it would have 234 characters, the limit is 199",
  });
});

Deno.test("encodeTicket() throws TypeError for what no ticket says", () => {
  const address = { host: "192.0.2.7", port: 1 };
  const wrong: readonly Partial<Ticket>[] = [
    { secret: new Uint8Array(15) },
    { service: MESSAGES_SERVICE },
    { addresses: [address, address, address, address] },
    { addresses: [{ host: "fe80::1%eth0", port: 1 }] },
    { addresses: [{ host: "a b", port: 1 }] },
    { token: "" },
    { token: "has space" },
    { token: "x".repeat(256) },
    { expires: EXPIRES + 1 },
    { expires: -1000 },
    { expires: 2 ** 32 * 1000 },
  ];
  for (const part of wrong) {
    assert.throws(() => encodeTicket({ ...SMALL, ...part }), TypeError, JSON.stringify(part));
  }
});

Deno.test("decodeTicket() reads what encodeTicket() writes for tickets of every kind", () => {
  const random = new SeededRandom("tickets");
  const hosts = ["192.0.2.7", "2001:db8::1", "::1", "h.example", "registry", "::ffff:102:304"];
  const pick = <T>(from: readonly T[]): T => random.pick(from);
  const place = () => ({ host: pick(hosts), port: 1 + random.below(65_535) });
  let written = 0;
  for (let round = 0; round < 500; round++) {
    const ticket: Ticket = {
      host: pick([HOST, REGISTRY]),
      service: mcpService(parseServerName(pick(["default", "a", "notes", "x".repeat(64)]))),
      secret: random.bytes(16),
      expires: random.below(2 ** 31) * 1000,
      ...(random.below(2) === 0 ? {} : { registry: { id: REGISTRY, ...place() } }),
      addresses: Array.from({ length: random.below(4) }, place),
      ...(random.below(2) === 0 ? {} : { token: "t".repeat(1 + random.below(40)) }),
    };
    try {
      const text = encodeTicket(ticket);
      assert.ok(text.length < 200);
      assert.deepEqual(decodeTicket(text), ticket);
      assert.equal(encodeTicket(decodeTicket(text)), text);
      written++;
    } catch (error) {
      assert.ok(error instanceof IdentityError && error.code === "ticket_too_long", String(error));
    }
  }
  assert.ok(written > 250, `${written} of 500 fit`);
});
