import assert from "node:assert/strict";
import { systemClock } from "../../lib/clock.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import { systemContext } from "../../lib/cli/context.ts";
import {
  chooseRegistry,
  connectChosen,
  isUnlisted,
  registryOptions,
  rememberRegistry,
} from "../../lib/cli/registry_choice.ts";
import { parseRegistryAddress } from "../../lib/discovery/registry_address.ts";
import { Database } from "../../lib/identity/database.ts";
import { codeOf, keptLog, messageFrom, temporaryHome } from "../identity/temporary_home.ts";
import { ALICE } from "../session/peers.ts";

const HERE = parseRegistryAddress("here.example");
const THERE = parseRegistryAddress("there.example");

/** A home with a database, and a context with these variables. */
async function scene(variables: Readonly<Record<string, string>> = {}) {
  const home = await temporaryHome();
  const database = new Database(home.paths, ALICE.peerId);
  const { log, lines } = keptLog();
  const context = {
    ...systemContext({ home: home.paths.home }, { clock: systemClock, random: systemRandom }),
    env: (name: string) => variables[name],
    log,
    os: "linux" as const,
  };
  return {
    context,
    database,
    lines,
    folder: home.paths.home,
    token: async (address = HERE, joinTokenFile?: string) => {
      const flags = joinTokenFile === undefined ? {} : { joinTokenFile };
      return (await registryOptions(context, ALICE, database, address, flags)).token;
    },
    async [Symbol.asyncDispose]() {
      database[Symbol.dispose]();
      await home[Symbol.asyncDispose]();
    },
  };
}

/** Writes a token file that its owner alone can read. */
function write(path: string, text: string | Uint8Array): void {
  Deno.writeFileSync(path, typeof text === "string" ? new TextEncoder().encode(text) : text, {
    mode: 0o600,
  });
}

Deno.test("chooseRegistry() takes flag, variable, what was remembered, or localhost when each is missing", async () => {
  const variables: Record<string, string> = {};
  await using stage = await scene(variables);
  const { context, database } = stage;
  const chosen = (flags = {}) => {
    const { address, chosenBy } = chooseRegistry(context, database, flags);
    return `${chosenBy} ${address.host}:${address.port}`;
  };
  assert.equal(chosen(), "default localhost:8765");
  rememberRegistry(context, database, HERE, { unlisted: false });
  assert.equal(chosen(), "register here.example:8765");
  variables["TALOS_SERVER"] = "there.example:1";
  assert.equal(chosen(), "environment there.example:1");
  assert.equal(chosen({ server: "flag.example" }), "flag flag.example:8765");
  assert.equal(chosen({ registry: "flag.example" }), "flag flag.example:8765");
  assert.equal(chosen({ registry: "a", server: "a" }), "flag a:8765");
  assert.equal(await codeOf(() => chosen({ registry: "a", server: "b" })), "usage");
  assert.equal(await codeOf(() => chosen({ server: "no port:x" })), "address_invalid");
});

Deno.test("rememberRegistry() keeps the key that is part of the address, and whether to be listed", async () => {
  await using stage = await scene();
  const { context, database } = stage;
  const address = parseRegistryAddress(`${ALICE.peerId}@here.example`);
  rememberRegistry(context, database, address, { unlisted: true });
  assert.deepEqual(chooseRegistry(context, database, {}).address, address);
  assert.equal(isUnlisted(database), true);
  rememberRegistry(context, database, address, { unlisted: false });
  assert.equal(isUnlisted(database), false);
});

Deno.test("registryOptions() shows a remembered token to its own registry and to no other", async () => {
  await using stage = await scene();
  const { context, database, folder } = stage;
  write(`${folder}/token`, " the-token-of-here \r\n");
  const remembered = { unlisted: false, joinTokenFile: `${folder}/token` };
  rememberRegistry(context, database, HERE, remembered);
  assert.equal(await stage.token(), "the-token-of-here");
  assert.equal(await stage.token(THERE), undefined);
  assert.equal(await stage.token(parseRegistryAddress("here.example:9765")), undefined);
  // Another registry is remembered; coming back, the token is still known.
  rememberRegistry(context, database, THERE, { unlisted: false });
  assert.equal(await stage.token(THERE), undefined);
  assert.equal(await stage.token(HERE), "the-token-of-here");
});

Deno.test("connectChosen() says that nobody chose the registry when it does not answer", async () => {
  await using stage = await scene();
  const { context, database } = stage;
  const address = { host: "127.0.0.1", port: 1 };
  const connecting = (chosenBy: "default" | "flag") =>
    connectChosen(context, ALICE, database, { address, chosenBy }, {});
  await assert.rejects(connecting("default"), {
    code: "registry_unreachable",
    message: "Cannot reach a registry: none was chosen, so 127.0.0.1:1 was tried: " +
      "nothing listens there (connection refused)",
    hints: ["choose one, and remember it: talos register --server HOST[:PORT]"],
  });
  await assert.rejects(connecting("flag"), {
    message: "Cannot reach the registry 127.0.0.1:1: nothing listens there (connection refused)",
  });
});

Deno.test("registryOptions() takes the token of the flag, then of the variable, then what was remembered", async () => {
  const variables: Record<string, string> = {};
  await using stage = await scene(variables);
  const { context, database, folder } = stage;
  for (const name of ["flag", "variable", "remembered"]) write(`${folder}/${name}`, name);
  const joinTokenFile = `${folder}/remembered`;
  rememberRegistry(context, database, HERE, { unlisted: false, joinTokenFile });
  assert.equal(await stage.token(), "remembered");
  variables["TALOS_JOIN_TOKEN_FILE"] = "";
  assert.equal(await stage.token(), "remembered");
  variables["TALOS_JOIN_TOKEN_FILE"] = `${folder}/variable`;
  assert.equal(await stage.token(), "variable");
  assert.equal(await stage.token(HERE, `${folder}/flag`), "flag");
});

Deno.test("registryOptions() shows the token of the environment to no registry but the usual one", async () => {
  const variables: Record<string, string> = {};
  await using stage = await scene(variables);
  const { context, database, folder } = stage;
  write(`${folder}/variable`, "variable");
  variables["TALOS_JOIN_TOKEN_FILE"] = `${folder}/variable`;
  assert.equal(await stage.token(THERE), "variable"); // the first registry of this machine
  rememberRegistry(context, database, HERE, { unlisted: false });
  assert.equal(await stage.token(HERE), "variable");
  assert.equal(await stage.token(THERE), undefined);
  assert.deepEqual(stage.lines, [
    "talos: TALOS_JOIN_TOKEN_FILE is the token of another registry registry=there.example:8765",
  ]);
  variables["TALOS_SERVER"] = "there.example";
  assert.equal(await stage.token(HERE), undefined);
  assert.equal(await stage.token(THERE), "variable");
});

Deno.test("registryOptions() remembers where a token lies when its path was relative", async () => {
  await using stage = await scene();
  const { context, database } = stage;
  rememberRegistry(context, database, HERE, { unlisted: false, joinTokenFile: "some/token" });
  assert.equal(
    await messageFrom(() => stage.token()),
    `Cannot use the join token file ${Deno.cwd()}/some/token: it is not there`,
  );
});

Deno.test("registryOptions() says what is wrong with a token file, and never what is in it", async () => {
  await using stage = await scene();
  const { folder } = stage;
  write(`${folder}/empty`, " \n");
  write(`${folder}/binary`, Uint8Array.of(0xff, 0xfe));
  write(`${folder}/long`, "secret".repeat(1000));
  for (
    const [name, state] of [
      ["absent", "it is not there"],
      ["empty", "it is empty"],
      ["binary", ""],
      ["long", ""],
      [".", ""],
    ] as const
  ) {
    const use = () => stage.token(HERE, `${folder}/${name}`);
    assert.equal(await codeOf(use), "usage", name);
    const message = await messageFrom(use);
    assert.ok(message.startsWith(`Cannot use the join token file ${folder}/${name}: ${state}`));
    assert.ok(!message.includes("secret"));
  }
});

Deno.test({
  name: "registryOptions() warns when others can read the token",
  ignore: Deno.build.os === "windows",
  async fn() {
    await using stage = await scene();
    const path = `${stage.folder}/token`;
    write(path, "a-token");
    assert.equal(await stage.token(HERE, path), "a-token");
    assert.deepEqual(stage.lines, []);
    Deno.chmodSync(path, 0o644);
    assert.equal(await stage.token(HERE, path), "a-token");
    assert.deepEqual(stage.lines, [
      `talos: warning: others can read the join token path=${path} cure="run: chmod 600 ${path}"`,
    ]);
  },
});
