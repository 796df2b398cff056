/** Wallets and their text: the exact format, every way to damage it, and that no secret is ever shown. */

import assert from "node:assert/strict";
import { inspect } from "node:util";
import { type Bytes, fromUtf8, hex, utf8 } from "../../lib/bytes.ts";
import { parseEd25519SecretKey } from "../../lib/crypto/ed25519.ts";
import { IdentityError } from "../../lib/identity/errors.ts";
import { parseWalletName } from "../../lib/identity/names.ts";
import {
  createWallet,
  isScryptCost,
  LockedWallet,
  lockWallet,
  Wallet,
} from "../../lib/identity/wallet.ts";
import { parseWallet, serialiseWallet } from "../../lib/identity/wallet_format.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";
import { codeOf, messageFrom, RFC_8032_SEED, samplePeer } from "./temporary_home.ts";

// Cheap, so that thousands of damaged wallets can be tried: 16 KiB of memory.
const CHEAP_N = 16;

const CREATED_AT = 1_767_225_600_000;

const OPEN = new Wallet(
  parseWalletName("<Role/Name>"),
  CREATED_AT,
  parseEd25519SecretKey(RFC_8032_SEED),
);

const OPEN_TEXT =
  '{"version":1,"name":"<Role/Name>","peer_id":"z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw",' +
  '"created_at":"2026-01-01T00:00:00.000Z","secret_key":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}\n';

/** Sealed by Python's hashlib.scrypt and cryptography's ChaCha20Poly1305, from the description alone. */
const PYTHON_WALLET =
  '{"version":1,"name":"Rüdiger","peer_id":"z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw","created_at":"2026-01-01T00:00:00.000Z","secret_key":' +
  '{"kdf":"scrypt","n":1024,"r":8,"p":1,"salt":"AAECAwQFBgcICQoLDA0ODw","nonce":"ZGVmZ2hpamtsbW5v","ciphertext":"LoQKLgiUkFni9Ni4sO6tPWcDXWJ_VOnE1SiDhh13hd2ViHgqZm7ZE3y-z1h0fL1y"}}';

const SECRET_FORMS = ["nWGxne", "9d61b1", "9D61B1", "157,97,177", "157, 97"];

function lockedSample(): Promise<LockedWallet> {
  return lockWallet(OPEN, "correct horse", new SeededRandom("salt").bytes, CHEAP_N);
}

function lockedOf(text: string): LockedWallet {
  const wallet = parseWallet(text);
  assert.ok(wallet instanceof LockedWallet);
  return wallet;
}

Deno.test("serialiseWallet() writes exactly the documented line", () => {
  assert.equal(serialiseWallet(OPEN), OPEN_TEXT);
});

Deno.test("parseWallet() gives the wallet that was written", () => {
  const wallet = parseWallet(OPEN_TEXT);
  assert.ok(wallet instanceof Wallet);
  assert.equal(wallet.name, "<Role/Name>");
  assert.equal(wallet.peerId, "z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw");
  assert.equal(wallet.createdAt, CREATED_AT);
  assert.equal(hex(wallet.secretKey), hex(RFC_8032_SEED));
  assert.equal(hex(wallet.publicKey).slice(0, 8), "d75a9801");
});

Deno.test("serialiseWallet() writes a locked wallet with the documented scrypt parameters", async () => {
  const text = serialiseWallet(await lockedSample());
  assert.match(
    text,
    /^\{"version":1,"name":"<Role\/Name>","peer_id":"z6Mktw\w{42}","created_at":"2026-01-01T00:00:00.000Z","secret_key":\{"kdf":"scrypt","n":16,"r":8,"p":1,"salt":"[\w-]{22}","nonce":"[\w-]{16}","ciphertext":"[\w-]{64}"\}\}\n$/,
  );
});

Deno.test("lockWallet() asks scrypt for 131,072 rounds unless told otherwise, and the wallet unlocks", async () => {
  const locked = await lockWallet(OPEN, "correct horse", new SeededRandom(1).bytes);
  assert.equal(locked.sealed.n, 131_072);
  const wallet = await lockedOf(serialiseWallet(locked)).unlock("correct horse");
  assert.equal(hex(wallet.secretKey), hex(RFC_8032_SEED));
});

Deno.test("unlock() opens a wallet that another implementation sealed", async () => {
  const wallet = await lockedOf(PYTHON_WALLET).unlock("pa\u00dfwort \u00e9");
  assert.equal(hex(wallet.secretKey), hex(RFC_8032_SEED));
});

Deno.test("serialiseWallet() gives back byte for byte what parseWallet() read, for 100 seeded wallets", async () => {
  const random = new SeededRandom("wallets");
  const names = ["a", "Ops/Anna Müller", '"quoted" \\ back', "👩‍💻", "n".repeat(64)];
  for (let run = 0; run < 100; run++) {
    const now = random.uint32() * 1000 + random.below(1000);
    const wallet = createWallet({ name: random.pick(names), now, random: random.bytes });
    const stored = run % 4 === 0 ? await lockWallet(wallet, "p", random.bytes, 2) : wallet;
    const text = serialiseWallet(stored);
    const parsed = parseWallet(text);
    assert.equal(serialiseWallet(parsed), text);
    const opened = parsed instanceof Wallet ? parsed : await parsed.unlock("p");
    assert.deepEqual(opened.secretKey, wallet.secretKey);
    assert.deepEqual({ ...opened.toJSON() }, { ...wallet.toJSON() });
  }
});

Deno.test("parseWallet() reads fields in any order with any white space, and they re-serialise the same", () => {
  const fields = Object.entries(JSON.parse(OPEN_TEXT)).reverse();
  const text = "\r\n" +
    JSON.stringify(Object.fromEntries(fields), null, "\t").replaceAll("\n", "\r\n");
  assert.equal(serialiseWallet(parseWallet(text)), OPEN_TEXT);
});

Deno.test("serialiseWallet() says what parseWallet() read, or it was refused, for 3,000 mutated wallets", async () => {
  const random = new SeededRandom("wallet mutations");
  const originals = [OPEN_TEXT, serialiseWallet(await lockedSample())];
  const pieces = [
    '"',
    ",",
    ":",
    "{",
    "}",
    " ",
    "\n",
    "\\",
    "\\u0041",
    "0",
    "1",
    "1e0",
    "A",
    '"name":"b",',
    "null",
  ];
  let accepted = 0;
  for (let run = 0; run < 3000; run++) {
    const original = random.pick(originals);
    const at = random.below(original.length + 1);
    const text = original.slice(0, at) + random.pick(pieces) + original.slice(at + random.below(2));
    try {
      const again = serialiseWallet(parseWallet(text));
      assert.deepEqual(JSON.parse(again), JSON.parse(text));
      assert.equal(serialiseWallet(parseWallet(again)), again);
      accepted++;
    } catch (error) {
      if (!(error instanceof IdentityError)) throw error;
    }
  }
  assert.ok(accepted > 100, `${accepted} were accepted`);
});

Deno.test("parseWallet() throws an IdentityError at every truncation, of an open and of a locked wallet", async () => {
  for (const whole of [OPEN_TEXT, serialiseWallet(await lockedSample())]) {
    // The line feed at the end is white space: without it nothing is missing.
    for (let length = 0; length < whole.length - 1; length++) {
      assert.equal(await codeOf(() => parseWallet(whole.slice(0, length))), "wallet_corrupted");
    }
    assert.equal(serialiseWallet(parseWallet(whole.slice(0, -1))), whole);
  }
});

Deno.test("parseWallet() and unlock() refuse every change of one byte of a locked wallet", async () => {
  const bytes = utf8(serialiseWallet(await lockedSample()));
  const end = bytes.length - 1;
  const codes = new Map<string, number>();
  for (let at = 0; at < bytes.length; at++) {
    for (const value of valuesFor(bytes[at] ?? 0)) {
      // White space in place of the last line feed is the same wallet: no key is wrong.
      if (at === end && [9, 10, 13, 32].includes(value)) continue;
      const damaged = bytes.slice();
      damaged[at] = value;
      const code = await outcomeOf(damaged);
      assert.notEqual(code, "opened", `byte ${at} set to ${value}`);
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
  }
  assert.deepEqual([...codes.keys()].sort(), [
    "wallet_corrupted",
    "wallet_version",
    "wrong_passphrase",
  ]);
});

/** Every bit flipped, and values that mean something to JSON or to base64url. */
function valuesFor(byte: number): Set<number> {
  const values = new Set([...utf8('"{}[]:,\\ \n09AZaz-_')]);
  for (let bit = 0; bit < 8; bit++) values.add(byte ^ (1 << bit));
  values.delete(byte);
  return values;
}

async function outcomeOf(bytes: Bytes): Promise<string> {
  let text: string;
  try {
    text = fromUtf8(bytes);
  } catch {
    return "wallet_corrupted";
  }
  try {
    const wallet = parseWallet(text);
    if (wallet instanceof LockedWallet) {
      // A cost of its own would only be slow; everything else is tried.
      if (wallet.sealed.n > 2 ** 12) return "wallet_corrupted";
      await wallet.unlock("correct horse");
    }
    return "opened";
  } catch (error) {
    if (!(error instanceof IdentityError)) throw error;
    return error.code;
  }
}

function edited(edit: (wallet: Record<string, unknown>) => void, text = OPEN_TEXT): string {
  const wallet: Record<string, unknown> = JSON.parse(text);
  edit(wallet);
  return JSON.stringify(wallet);
}

const REFUSED: readonly (readonly [what: string, text: string, code: string, message: RegExp])[] = [
  ["it is empty", "", "wallet_corrupted", /a value is missing at line 1, column 1/],
  ["it is not JSON", "-----BEGIN KEY-----", "wallet_corrupted", /a value is missing at line 1/],
  ["it is an array", "[]", "wallet_corrupted", /it is not an object/],
  ["it is null", "null", "wallet_corrupted", /it is not an object/],
  [
    "a key comes twice",
    OPEN_TEXT.replace('"version":1', '"version":1,"version":1'),
    "wallet_corrupted",
    /a member name comes twice/,
  ],
  [
    "its version is 2",
    edited((w) => w["version"] = 2),
    "wallet_version",
    /its version is 2, this program knows 1/,
  ],
  [
    "its version is 2 and all else is new",
    '{"version":2,"keys":[]}',
    "wallet_version",
    /its version is 2/,
  ],
  ["its version is 0", edited((w) => w["version"] = 0), "wallet_version", /its version is 0/],
  [
    "its version is text",
    edited((w) => w["version"] = "1"),
    "wallet_corrupted",
    /version is not an integer/,
  ],
  [
    "the version is missing",
    edited((w) => delete w["version"]),
    "wallet_corrupted",
    /version is missing/,
  ],
  ["the name is missing", edited((w) => delete w["name"]), "wallet_corrupted", /name is missing/],
  [
    "the key is missing",
    edited((w) => delete w["secret_key"]),
    "wallet_corrupted",
    /secret_key is missing/,
  ],
  [
    "a field is unknown",
    edited((w) => w["comment"] = ""),
    "wallet_corrupted",
    /comment is unknown/,
  ],
  [
    "a field is __proto__",
    OPEN_TEXT.replace("{", '{"__proto__":1,'),
    "wallet_corrupted",
    /__proto__ is unknown/,
  ],
  [
    "the name is a number",
    edited((w) => w["name"] = 5),
    "wallet_corrupted",
    /name is not a string/,
  ],
  [
    "the name is too long",
    edited((w) => w["name"] = "n".repeat(65)),
    "wallet_corrupted",
    /name: .*65 bytes/,
  ],
  [
    "the name has a control character",
    edited((w) => w["name"] = "\x1b[2J"),
    "wallet_corrupted",
    /not printable/,
  ],
  [
    "the name is not normalised",
    edited((w) => w["name"] = "u\u0308"),
    "wallet_corrupted",
    /normal form C/,
  ],
  [
    "the date is a number",
    edited((w) => w["created_at"] = 5),
    "wallet_corrupted",
    /created_at is not a string/,
  ],
  [
    "the date is no date",
    edited((w) => w["created_at"] = "2026-02-30T00:00:00Zx"),
    "wallet_corrupted",
    /is not a time/,
  ],
  [
    "the month is 13",
    edited((w) => w["created_at"] = "2026-13-01T00:00:00Z"),
    "wallet_corrupted",
    /is not a time/,
  ],
  [
    "the Peer ID is too short",
    edited((w) => w["peer_id"] = "z6Mk"),
    "wallet_corrupted",
    /peer_id: .*4 characters/,
  ],
  [
    "the Peer ID is a DID",
    edited((w) => w["peer_id"] = `did:key:${OPEN.peerId}`),
    "wallet_corrupted",
    /did:key/,
  ],
  [
    "the Peer ID is another's",
    edited((w) => w["peer_id"] = samplePeer(1)),
    "wallet_mismatch",
    /z6MktwupdmLX/,
  ],
  [
    "the key is another's",
    edited((w) => w["secret_key"] = "A".repeat(43)),
    "wallet_mismatch",
    /it says z6Mktw/,
  ],
  [
    "the key is a number",
    edited((w) => w["secret_key"] = 1),
    "wallet_corrupted",
    /secret_key is not a string/,
  ],
  [
    "the key is null",
    edited((w) => w["secret_key"] = null),
    "wallet_corrupted",
    /secret_key is not a string/,
  ],
  [
    "the key is too short",
    edited((w) => w["secret_key"] = "A".repeat(42)),
    "wallet_corrupted",
    /not 32 bytes of base64url/,
  ],
  [
    "the key is too long",
    edited((w) => w["secret_key"] = "A".repeat(44)),
    "wallet_corrupted",
    /not 32 bytes of base64url/,
  ],
  [
    "the key is padded",
    edited((w) => w["secret_key"] = "A".repeat(42) + "="),
    "wallet_corrupted",
    /not 32 bytes/,
  ],
  [
    "the key is plain base64",
    edited((w) => w["secret_key"] = "/".repeat(43)),
    "wallet_corrupted",
    /not 32 bytes/,
  ],
  [
    "the key has stray bits",
    edited((w) => w["secret_key"] = "A".repeat(42) + "B"),
    "wallet_corrupted",
    /not 32 bytes/,
  ],
];

for (const [what, text, code, message] of REFUSED) {
  Deno.test(`parseWallet() throws ${code} when ${what}`, async () => {
    assert.equal(await codeOf(() => parseWallet(text)), code);
    const shown = await messageFrom(() => parseWallet(text));
    assert.match(shown, message);
    for (const secret of SECRET_FORMS) assert.equal(shown.includes(secret), false);
  });
}

const SEALED_REFUSED:
  readonly (readonly [what: string, field: string, value: unknown, message: RegExp])[] = [
    ["the KDF is another", "kdf", "argon2id", /secret_key.kdf is not scrypt/],
    ["n is no power of two", "n", 131_071, /secret_key.n is not a power of two/],
    ["n is 1", "n", 1, /secret_key.n is not an integer from 2 to 1048576/],
    ["n is 2^21", "n", 2 ** 21, /secret_key.n is not an integer from 2 to 1048576/],
    ["n is 2^60", "n", 2 ** 60, /secret_key.n is not an integer/],
    ["n is negative", "n", -16, /secret_key.n is not an integer/],
    ["n is a fraction", "n", 16.5, /secret_key.n is not an integer/],
    ["n is text", "n", "16", /secret_key.n is not an integer/],
    ["r is 9", "r", 9, /secret_key.r is not an integer from 8 to 8/],
    ["p is 2", "p", 2, /secret_key.p is not an integer from 1 to 1/],
    ["p is 2^30", "p", 2 ** 30, /secret_key.p is not an integer from 1 to 1/],
    ["the salt is short", "salt", "A".repeat(21), /secret_key.salt is not 16 bytes/],
    ["the nonce is long", "nonce", "A".repeat(17), /secret_key.nonce is not 12 bytes/],
    [
      "the ciphertext is short",
      "ciphertext",
      "A".repeat(63),
      /secret_key.ciphertext is not 48 bytes/,
    ],
    ["the ciphertext is missing", "ciphertext", undefined, /secret_key.ciphertext is missing/],
    ["a field is unknown", "m", 1, /secret_key.m is unknown/],
  ];

for (const [what, field, value, message] of SEALED_REFUSED) {
  Deno.test(`parseWallet() throws wallet_corrupted, before any work, when ${what} in a locked wallet`, async () => {
    const text = serialiseWallet(await lockedSample());
    const damaged = edited((wallet) => {
      Object.assign(wallet["secret_key"] ?? {}, { [field]: value });
    }, text);
    assert.equal(await codeOf(() => parseWallet(damaged)), "wallet_corrupted");
    assert.match(await messageFrom(() => parseWallet(damaged)), message);
  });
}

Deno.test("unlock() throws wrong_passphrase when the passphrase, name, date or Peer ID is another", async () => {
  const locked = await lockedSample();
  assert.equal(await codeOf(() => locked.unlock("correct horsf")), "wrong_passphrase");
  assert.equal(await codeOf(() => locked.unlock("correct horse ")), "wrong_passphrase");
  const { sealed } = locked;
  for (
    const facts of [
      { ...locked.toJSON(), name: parseWalletName("x") },
      { ...locked.toJSON(), createdAt: CREATED_AT + 1 },
      { ...locked.toJSON(), peerId: samplePeer(1) },
    ]
  ) {
    const other = new LockedWallet(facts, sealed);
    assert.equal(await codeOf(() => other.unlock("correct horse")), "wrong_passphrase");
  }
});

Deno.test("unlock() throws wallet_mismatch when somebody sealed the key of another identity in", async () => {
  // Made by who knows the passphrase: the Peer ID is authentic, the key is not its own.
  const impostor = Object.create(OPEN, {
    peerId: { value: samplePeer(1) },
    secretKey: { value: OPEN.secretKey },
  });
  const locked = await lockWallet(impostor, "p", new SeededRandom(2).bytes, CHEAP_N);
  assert.equal(locked.peerId, samplePeer(1));
  assert.equal(await codeOf(() => locked.unlock("p")), "wallet_mismatch");
});

Deno.test("unlock() takes a passphrase in either Unicode form", async () => {
  const locked = await lockWallet(OPEN, "caf\u00e9", new SeededRandom(3).bytes, CHEAP_N);
  assert.equal((await locked.unlock("cafe\u0301")).peerId, OPEN.peerId);
});

Deno.test("lockWallet() and unlock() throw passphrase_invalid when the passphrase is none", async () => {
  const random = new SeededRandom(4).bytes;
  for (const bad of ["", "a\nb", "a\0", "\ud800", "x".repeat(1025)]) {
    assert.equal(await codeOf(() => lockWallet(OPEN, bad, random, CHEAP_N)), "passphrase_invalid");
  }
  assert.ok(await lockWallet(OPEN, "x".repeat(1024), random, CHEAP_N));
});

Deno.test("isScryptCost() accepts the powers of two from 2 to 2^20", () => {
  const accepted = Array.from({ length: 40 }, (_, power) => 2 ** power).filter(isScryptCost);
  assert.deepEqual([accepted[0], accepted.at(-1), accepted.length], [2, 1_048_576, 20]);
  for (const bad of [0, 3, 1.5, -2, NaN, Infinity, 2 ** 32, 2 ** 53]) {
    assert.equal(isScryptCost(bad), false);
  }
});

Deno.test("createWallet() makes a new key each time and throws name_invalid when the name is none", async () => {
  const random = new SeededRandom(5).bytes;
  const one = createWallet({ name: "a", now: 0, random });
  const two = createWallet({ name: "a", now: 0, random });
  assert.notEqual(one.peerId, two.peerId);
  assert.equal(await codeOf(() => createWallet({ name: "", now: 0, random })), "name_invalid");
});

Deno.test("Wallet and LockedWallet show no secret however they are printed", async () => {
  const locked = await lockedSample();
  for (const wallet of [OPEN, locked]) {
    const shown = [
      Deno.inspect(wallet, { depth: 10, showHidden: true, getters: true }),
      Deno.inspect({ nested: [wallet] }, { depth: 10, getters: true }),
      inspect(wallet, { depth: 10, showHidden: true, getters: true }),
      JSON.stringify({ wallet }),
      JSON.stringify(Object.entries(wallet)).replace(/"sealed".*/s, ""),
      String(wallet),
      Deno.inspect(Object.getOwnPropertyDescriptors(OPEN)),
      Deno.inspect(structuredClone(wallet.toJSON())),
    ].join("\n");
    for (const secret of SECRET_FORMS) assert.equal(shown.includes(secret), false, secret);
  }
  assert.equal(Deno.inspect(OPEN), `Wallet(${OPEN.peerId})`);
  assert.equal(inspect(locked), `LockedWallet(${OPEN.peerId})`);
  assert.deepEqual(Object.keys(JSON.parse(JSON.stringify(OPEN))), ["name", "peerId", "createdAt"]);
});
