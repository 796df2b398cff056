import assert from "node:assert/strict";
import { systemContext } from "../../lib/cli/context.ts";
import { Registration } from "../../lib/cli/registration.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import { Database } from "../../lib/identity/database.ts";
import { MESSAGES_SERVICE } from "../../lib/identity/names.ts";
import { SILENT } from "../../lib/log.ts";
import { temporaryHome } from "../identity/temporary_home.ts";
import { FakeClock } from "../session/fake_clock.ts";
import { ALICE } from "../session/peers.ts";

/** Nothing listens there: connecting fails at once, and is tried again when the clock says so. */
const NOWHERE = "127.0.0.1:1";

async function scene() {
  const home = await temporaryHome();
  const database = new Database(home.paths, ALICE.peerId);
  const clock = new FakeClock();
  const context = {
    ...systemContext({ home: home.paths.home }, { clock, random: systemRandom }),
    env: () => undefined,
    log: SILENT,
  };
  return {
    clock,
    registration: new Registration(context, { server: NOWHERE }),
    registered: {
      identity: ALICE,
      name: "Alice",
      database,
      instance: new Uint8Array(16),
      services: [MESSAGES_SERVICE],
      port: 8766,
    },
    async [Symbol.asyncDispose]() {
      database[Symbol.dispose]();
      await home[Symbol.asyncDispose]();
    },
  };
}

Deno.test("Registration publishes nothing when it is asked to register after its end", async () => {
  await using stage = await scene();
  const { registration, registered, clock } = stage;
  await registration.begin(registered);
  assert.equal(registration.place, NOWHERE);
  await registration[Symbol.asyncDispose]();
  assert.deepEqual(await registration.methods["register"]?.(null), { state: "none" });
  assert.equal(clock.timers, 0);
});
