import assert from "node:assert/strict";

import { systemContext } from "../../lib/cli/context.ts";
import { sharedServers } from "../../lib/cli/shared_servers.ts";
import { TalosError } from "../../lib/errors.ts";
import { codeOf, temporaryHome } from "../identity/temporary_home.ts";

const POSIX = Deno.build.os !== "windows";
const context = systemContext({});

function configured(config: string) {
  return sharedServers(context, { config, env: [] }, []);
}

/** Writes a file of servers, of which one runs this very Deno. */
function write(path: string, name: string): void {
  const servers = { [name]: { command: Deno.execPath() } };
  Deno.writeTextFileSync(path, JSON.stringify({ mcpServers: servers }), { mode: 0o600 });
}

Deno.test({
  name: "sharedServers() refuses a --config that others can write: it says which programs run",
  ignore: !POSIX,
  async fn() {
    await using home = await temporaryHome();
    const path = `${home.paths.home}/servers.json`;
    write(path, "GitHub");
    assert.deepEqual((await configured(path)).map(({ service }) => service), ["mcp/github"]);
    Deno.chmodSync(path, 0o644); // to be read is no harm
    await configured(path);
    Deno.chmodSync(path, 0o666);
    await assert.rejects(configured(path), (error: unknown) => {
      assert.ok(error instanceof TalosError);
      assert.equal(error.code, "config_permissions");
      assert.equal(error.message, `Cannot trust ${path}: others can write it (mode 0666)`);
      assert.deepEqual(error.hints, [
        "see that the commands in it are yours: they would run as this user",
        `run: chmod 600 ${path}`,
      ]);
      return true;
    });
  },
});

Deno.test("sharedServers() says what is wrong with --config when it is a directory or not there", async () => {
  await using home = await temporaryHome();
  assert.equal(await codeOf(() => configured(home.paths.home)), "usage");
  assert.equal(await codeOf(() => configured(`${home.paths.home}/none`)), "usage");
});

Deno.test("sharedServers() says how a service is probably written when --service cannot be one", async () => {
  await assert.rejects(
    sharedServers(context, { service: "My Files", env: [] }, ["cat"]),
    { code: "name_invalid", hints: ["choose one like --service my-files"] },
  );
});
