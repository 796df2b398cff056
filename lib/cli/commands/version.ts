/** `talos version`: which program this is. */

import { SUPPORTED_VERSIONS } from "../../wire/preface.ts";
import type { Context } from "../context.ts";
import { VERSION } from "../../version.ts";

/** Prints the program's and the protocol's version. */
export function versionCommand({ output, os }: Context): void {
  const { min, max } = SUPPORTED_VERSIONS;
  output.result(`talos ${VERSION} (protocol ${max}, Deno ${Deno.version.deno}, ${os})`, {
    version: VERSION,
    protocol: { min, max },
    deno: Deno.version.deno,
    os,
    arch: Deno.build.arch,
  });
}
