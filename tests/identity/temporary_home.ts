/** A home in a temporary directory, removed at the end of the test, and fixed keys to fill it with. */

import { fromHex } from "../../lib/bytes.ts";
import { ed25519PublicKey, parseEd25519SecretKey } from "../../lib/crypto/ed25519.ts";
import { type HomePaths, homePaths } from "../../lib/identity/home.ts";
import { type PeerId, peerIdOf } from "../../lib/identity/peer_id.ts";
import { createLog, type Log } from "../../lib/log.ts";

/** A home that is gone when the test ends. */
export interface TemporaryHome extends AsyncDisposable {
  /** Its paths. */
  readonly paths: HomePaths;
}

/** Makes an empty home of mode 0700. */
export async function temporaryHome(): Promise<TemporaryHome> {
  const home = await Deno.makeTempDir({ prefix: "talos-test-" });
  return {
    paths: homePaths(Deno.build.os, () => undefined, home),
    async [Symbol.asyncDispose]() {
      await Deno.remove(home, { recursive: true });
    },
  };
}

/** Returns the Peer ID of the key whose seed is 32 times `byte`. */
export function samplePeer(byte: number): PeerId {
  return peerIdOf(ed25519PublicKey(parseEd25519SecretKey(new Uint8Array(32).fill(byte))));
}

/** RFC 8032 §7.1, TEST 1: the seed. */
export const RFC_8032_SEED = fromHex(
  "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
);

/** A log that keeps its lines. */
export function keptLog(): { readonly log: Log; readonly lines: string[] } {
  const lines: string[] = [];
  const log = createLog({
    write: (line) => lines.push(line),
    level: "debug",
    json: false,
    now: () => 0,
  });
  return { log, lines };
}

/** Returns the code of the IdentityError (or other coded error) that `action` throws. */
export async function codeOf(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (error) {
    if (error instanceof Error && "code" in error && typeof error.code === "string") {
      return error.code;
    }
    throw error;
  }
  return "nothing was thrown";
}

/** Returns the message of what `action` throws. */
export async function messageFrom(action: () => unknown): Promise<string> {
  try {
    await action();
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  return "nothing was thrown";
}
