import assert from "node:assert/strict";
import {
  addContact,
  contacts,
  petnameOf,
  removeContact,
  renameContact,
  resolvePeer,
} from "../../lib/identity/contacts.ts";
import { Database } from "../../lib/identity/database.ts";
import { IdentityError } from "../../lib/identity/errors.ts";
import { parsePetname } from "../../lib/identity/names.ts";
import { parsePeerReference } from "../../lib/identity/peer_address.ts";
import type { PeerId } from "../../lib/identity/peer_id.ts";
import { codeOf, messageFrom, samplePeer, temporaryHome } from "./temporary_home.ts";

const [ME, BOB, CAROL, OTHER] = [samplePeer(1), samplePeer(2), samplePeer(3), samplePeer(4)];
const name = parsePetname;

/** A database that is gone when the test ends. */
async function openDatabase(owner: PeerId = ME) {
  const home = await temporaryHome();
  const database = new Database(home.paths, owner);
  return {
    database,
    home,
    async [Symbol.asyncDispose]() {
      database[Symbol.dispose]();
      await home[Symbol.asyncDispose]();
    },
  };
}

function resolve(database: Database, text: string): PeerId {
  return resolvePeer(database, parsePeerReference(text));
}

Deno.test("contacts() returns all by name when some were added", async () => {
  await using opened = await openDatabase();
  const { database } = opened;
  assert.deepEqual(contacts(database), []);
  addContact(database, name("carol"), CAROL, 2);
  addContact(database, name("bob"), BOB, 1);
  assert.deepEqual(contacts(database), [
    { petname: "bob", peer: BOB, addedAt: 1 },
    { petname: "carol", peer: CAROL, addedAt: 2 },
  ]);
  assert.equal(petnameOf(database, BOB), "bob");
  assert.equal(petnameOf(database, OTHER), undefined);
});

Deno.test("addContact() says who is meant already when the name or the peer is taken", async () => {
  await using opened = await openDatabase();
  const { database } = opened;
  addContact(database, name("bob"), BOB, 1);
  for (const [petname, peer] of [["bob", CAROL], ["robert", BOB], ["bob", BOB]] as const) {
    const add = () => addContact(database, name(petname), peer, 2);
    assert.equal(await codeOf(add), "contact_exists");
    assert.equal(await messageFrom(add), `There is a contact already: bob is ${BOB}`);
  }
  assert.deepEqual(contacts(database), [{ petname: "bob", peer: BOB, addedAt: 1 }]);
});

Deno.test("renameContact() keeps the peer when the new name is free, and changes nothing otherwise", async () => {
  await using opened = await openDatabase();
  const { database } = opened;
  addContact(database, name("bob"), BOB, 1);
  addContact(database, name("carol"), CAROL, 1);
  renameContact(database, name("bob"), name("robert"));
  assert.equal(resolve(database, "robert"), BOB);
  const rename = (from: string, to: string) =>
    codeOf(() => renameContact(database, name(from), name(to)));
  assert.equal(await rename("bob", "bobby"), "contact_unknown");
  assert.equal(await rename("robert", "carol"), "contact_exists");
  assert.deepEqual(contacts(database).map(({ petname }) => petname), ["carol", "robert"]);
});

Deno.test("removeContact() makes the name unknown when there was one", async () => {
  await using opened = await openDatabase();
  const { database } = opened;
  addContact(database, name("bob"), BOB, 1);
  removeContact(database, name("bob"));
  assert.equal(await codeOf(() => resolve(database, "bob")), "contact_unknown");
  assert.equal(await codeOf(() => removeContact(database, name("bob"))), "contact_unknown");
});

Deno.test("resolvePeer() returns a whole Peer ID as it is when no contact has it", async () => {
  await using opened = await openDatabase();
  assert.equal(resolve(opened.database, OTHER), OTHER);
  assert.equal(resolve(opened.database, `did:key:${OTHER}`), OTHER);
});

Deno.test("resolvePeer() finds a contact when its name or the beginning of its Peer ID is given", async () => {
  await using opened = await openDatabase();
  const { database } = opened;
  addContact(database, name("bob"), BOB, 1);
  addContact(database, name("Zoë"), CAROL, 1);
  assert.equal(resolve(database, "bob"), BOB);
  assert.equal(resolve(database, "Zoe\u0308"), CAROL); // the same name, typed another way
  assert.equal(resolve(database, BOB.slice(0, 12)), BOB);
  assert.equal(resolve(database, BOB.slice(0, 47)), BOB);
  assert.equal(
    await codeOf(() => resolve(database, `z6Mk${BOB.slice(20, 32)}`)), // from its middle
    "contact_unknown",
  );
  assert.equal(resolve(database, "BOB"), BOB); // nobody remembers the case
  assert.equal(await codeOf(() => resolve(database, OTHER.slice(0, 12))), "contact_unknown");
});

Deno.test("addContact() refuses a name that another contact has in another case", async () => {
  await using opened = await openDatabase();
  const { database } = opened;
  addContact(database, name("Bob"), BOB, 1);
  assert.equal(await codeOf(() => addContact(database, name("bob"), CAROL, 1)), "contact_exists");
  addContact(database, name("carol"), CAROL, 1);
  assert.equal(
    await codeOf(() => renameContact(database, name("CAROL"), name("BOB"))),
    "contact_exists",
  );
  // To change the case of its own name is no clash.
  assert.equal(renameContact(database, name("CAROL"), name("Carol")).petname, "carol");
  assert.equal(removeContact(database, name("BOB")).petname, "Bob");
  assert.deepEqual(contacts(database).map(({ petname }) => petname), ["Carol"]);
});

Deno.test("resolvePeer() says what was probably meant, and what an address lacks", async () => {
  await using opened = await openDatabase();
  const { database } = opened;
  addContact(database, name("linux"), BOB, 1);
  const adviceFor = (text: string) => {
    try {
      return resolve(database, text);
    } catch (error) {
      assert.ok(error instanceof IdentityError);
      return [error.message, ...error.hints];
    }
  };
  assert.deepEqual(adviceFor("linus"), [
    'No contact is "linus"',
    "did you mean linux?",
    "see those there are: talos contacts list",
    "or write the whole Peer ID; see who is registered: talos peers",
  ]);
  for (const address of ["127.0.0.1:8767", "192.0.2.7", "host.example:8766"]) {
    assert.deepEqual(adviceFor(address), [
      `No contact is "${address}": that is an address`,
      `say who is there, too: PEER-ID@${address}`,
    ]);
  }
});

Deno.test("resolvePeer() names the candidates when several contacts begin alike", async () => {
  await using opened = await openDatabase();
  const { database } = opened;
  // Two Peer IDs that share the whole of what is typed cannot be made by hand: one row is changed.
  addContact(database, name("bob"), BOB, 1);
  addContact(database, name("carol"), CAROL, 1);
  const shared = { kind: "prefix", text: "z6Mk" } as const;
  assert.equal(await codeOf(() => resolvePeer(database, shared)), "contact_ambiguous");
  assert.equal(
    await messageFrom(() => resolvePeer(database, shared)),
    `Several contacts begin with z6Mk: bob (${BOB.slice(0, 12)}…), carol (${CAROL.slice(0, 12)}…)`,
  );
});

Deno.test("contacts() are none of ours when another identity of the home added them", async () => {
  await using opened = await openDatabase();
  const { database, home } = opened;
  addContact(database, name("bob"), BOB, 1);
  using other = new Database(home.paths, OTHER);
  assert.deepEqual(contacts(other), []);
  assert.equal(await codeOf(() => resolve(other, "bob")), "contact_unknown");
  addContact(other, name("bob"), CAROL, 1);
  assert.equal(resolve(other, "bob"), CAROL);
  assert.equal(resolve(database, "bob"), BOB);
});
