import assert from "node:assert/strict";
import { stopSignals } from "../lib/stop_signal.ts";

Deno.test("stopSignals() are what a terminal sends, and a service manager, when there is one", () => {
  assert.deepEqual(stopSignals("linux", true), ["SIGINT", "SIGTERM", "SIGHUP"]);
  assert.deepEqual(stopSignals("darwin", true), ["SIGINT", "SIGTERM", "SIGHUP"]);
  assert.deepEqual(stopSignals("windows", true), ["SIGINT", "SIGBREAK", "SIGHUP"]);
});

Deno.test("stopSignals() leave SIGHUP out where there was never a terminal to lose", () => {
  assert.deepEqual(stopSignals("linux", false), ["SIGINT", "SIGTERM"]);
  assert.deepEqual(stopSignals("darwin", false), ["SIGINT", "SIGTERM"]);
  assert.deepEqual(stopSignals("windows", false), ["SIGINT", "SIGBREAK", "SIGHUP"]);
});
