import assert from "node:assert/strict";

import { peerLine } from "../../lib/cli/commands/peers.ts";
import { samplePeer } from "../identity/temporary_home.ts";

const [ANN, ME] = [samplePeer(1), samplePeer(2)];
const LISTED = { peer: ANN, online: true, lastSeen: 0 };

Deno.test("peerLine() puts our own notes before what a peer says of itself", () => {
  assert.equal(
    peerLine({ ...LISTED, name: "LinuxBox", services: ["mcp/default", "mcp/notes"] }, ME, "linux"),
    `${ANN}  (your contact linux)  online  default, notes  "LinuxBox"`,
  );
  assert.equal(
    peerLine({ ...LISTED, online: false, name: "me", services: [] }, ANN, undefined),
    `${ANN}  (this is you)  away    "me"`,
  );
});

Deno.test("peerLine() quotes names and services that were made to look like our notes", () => {
  const name = 'x"  (your contact linux)';
  const services = ["mcp/default  (this is you)"];
  assert.equal(
    peerLine({ ...LISTED, name, services }, ME, undefined),
    `${ANN}  online  "default  (this is you)"  "x\\"  (your contact linux)"`,
  );
});
