/** What this machine is called where nobody said so: one of the thin executors. */

import { parseWalletName } from "../identity/names.ts";
import { printable } from "../log.ts";

const UNNAMED = "unnamed";

/** Returns the name that the system has for this machine, without its domain; "unnamed" where it has none. */
export function machineName(): string {
  try {
    return parseWalletName(printable(Deno.hostname()).split(".")[0]?.trim() ?? "");
  } catch {
    return UNNAMED; // it may not be asked, or is nothing that could be a name
  }
}
