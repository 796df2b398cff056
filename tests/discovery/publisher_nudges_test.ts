/** What happens to a Publisher while it is publishing is not lost: stop, refresh, the registry's end. */

import assert from "node:assert/strict";
import { Publisher } from "../../lib/discovery/publisher.ts";
import { encodeReason } from "../../lib/session/bodies.ts";
import type { RegistryRequest } from "../../lib/wire/registry_messages.ts";
import { isSettled } from "../session/peers.ts";
import { FILES } from "./endpoint_records.ts";
import { agreeable, type Scene, scene } from "./fake_registry.ts";

const REFRESH_MS = 300_000;

function publisher(stage: Scene): Publisher {
  return new Publisher({
    ...stage.options,
    name: "alice",
    unlisted: () => false,
    services: [FILES],
    port: 8766,
    interfaces: () => ["192.168.1.5"],
  });
}

/** Lets everything that is ready run: the clock stands still meanwhile. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 40; turn++) await new Promise((resolve) => setTimeout(resolve));
}

/** Does `event` once, while the next record is being published. */
function whilePublishing(stage: Scene, event: () => void): void {
  let done = false;
  stage.registry.answer = (request: RegistryRequest) => {
    if (request.op === "publish" && !done) {
      done = true;
      event();
    }
    return agreeable(request);
  };
}

async function refreshes(stage: Scene): Promise<void> {
  await stage.clock.advance(REFRESH_MS);
  await settle();
}

Deno.test("Publisher ends soon when it is disposed of while it publishes", async () => {
  const stage = await scene();
  const tested = publisher(stage);
  await tested.published;
  let ending: Promise<void> | undefined;
  whilePublishing(stage, () => ending = tested[Symbol.asyncDispose]());
  await refreshes(stage);
  await stage.clock.advance(5_000);
  await settle();
  assert.ok(ending !== undefined && await isSettled(ending));
});

Deno.test("Publisher publishes once more when it is told to refresh while it publishes", async () => {
  const stage = await scene();
  const tested = publisher(stage);
  await tested.published;
  whilePublishing(stage, () => tested.refresh());
  await refreshes(stage);
  assert.equal(stage.registry.of("publish").length, 3);
  await tested[Symbol.asyncDispose]();
});

Deno.test("Publisher connects again when the registry closes right behind its last answer", async () => {
  const stage = await scene();
  const tested = publisher(stage);
  await tested.published;
  const before = stage.registry.connects;
  const close = encodeReason("close", { code: "draining", reason: "" });
  whilePublishing(stage, () => queueMicrotask(() => void stage.registry.send(close)));
  await refreshes(stage);
  await stage.clock.advance(10_000);
  await settle();
  assert.ok(stage.registry.connects > before);
  await tested[Symbol.asyncDispose]();
});
