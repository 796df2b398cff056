// deno-lint-ignore-file no-console
/**
 * A child that gives root up and then tries what its arguments say: `HOME ACTION`. It prints the code
 * of the error, or "done". Started by tests that run as root, where permissions stop nobody else.
 */

import process from "node:process";
import { readAccess } from "../../lib/identity/access_file.ts";
import { ensureHome, homePaths } from "../../lib/identity/home.ts";
import { readRunFiles } from "../../lib/identity/run_files.ts";
import { createWallet } from "../../lib/identity/wallet.ts";
import { readWallet, saveWallet } from "../../lib/identity/wallet_file.ts";
import { systemRandom } from "../../lib/crypto/random.ts";
import { SILENT } from "../../lib/log.ts";
import { codeOf } from "./temporary_home.ts";

const NOBODY = 65534;

if (import.meta.main) {
  const [home = "", action = ""] = Deno.args;
  const paths = homePaths(Deno.build.os, () => undefined, home);
  process.setgroups?.([]);
  process.setgid?.(NOBODY);
  process.setuid?.(NOBODY);
  if (Deno.uid() !== NOBODY) throw new Error(`still user ${Deno.uid()}`);
  const actions: Record<string, () => Promise<unknown>> = {
    ensureHome: () => ensureHome(paths, SILENT),
    readWallet: () => readWallet(paths),
    saveWallet: () =>
      saveWallet(paths, createWallet({ name: "nobody", now: 0, random: systemRandom }), {
        force: true,
        log: SILENT,
      }),
    readAccess: () => Promise.try(() => readAccess(paths)),
    readRunFiles: () => Promise.resolve(readRunFiles(paths)),
  };
  const run = actions[action];
  if (run === undefined) throw new Error(`no action ${action}`);
  let done = false;
  const code = await codeOf(async () => {
    await run();
    done = true;
  });
  console.log(done ? "done" : code);
}
