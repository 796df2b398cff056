import assert from "node:assert/strict";
import {
  formatRegistryAddress,
  parseRegistryAddress,
  type RegistryAddress,
} from "../../lib/discovery/registry_address.ts";
import { codeOf, samplePeer } from "../identity/temporary_home.ts";

const ID = samplePeer(1);

const TABLE: readonly (readonly [text: string, address: RegistryAddress, whole: string])[] = [
  ["registry.example", { host: "registry.example", port: 8765 }, "registry.example:8765"],
  ["192.0.2.1:9000", { host: "192.0.2.1", port: 9000 }, "192.0.2.1:9000"],
  ["[2001:db8::1]", { host: "2001:db8::1", port: 8765 }, "[2001:db8::1]:8765"],
  [
    `${ID}@registry.example`,
    { host: "registry.example", port: 8765, id: ID },
    `${ID}@registry.example:8765`,
  ],
  [`did:key:${ID}@[::1]:1`, { host: "::1", port: 1, id: ID }, `${ID}@[::1]:1`],
];

for (const [text, address, whole] of TABLE) {
  Deno.test(`parseRegistryAddress() reads ${text.replaceAll(ID, "PEER-ID")}`, () => {
    assert.deepEqual(parseRegistryAddress(text), address);
    assert.equal(formatRegistryAddress(address), whole);
    assert.deepEqual(parseRegistryAddress(whole), address);
  });
}

const WRONG = {
  "": "address_invalid",
  "http://registry.example": "address_invalid",
  "registry.example:": "address_invalid",
  "registry.example:65536": "address_invalid",
  "::1": "address_invalid",
  "@registry.example": "peer_id_invalid",
  "alice@registry.example": "peer_id_invalid",
};

for (const [text, code] of Object.entries(WRONG)) {
  Deno.test(`parseRegistryAddress() throws ${code} when it reads "${text}"`, async () => {
    assert.equal(await codeOf(() => parseRegistryAddress(text)), code);
  });
}
