/** The database of the identity in a home, for commands that need no key. */

import { Database } from "../identity/database.ts";
import type { HomePaths } from "../identity/home.ts";
import { readWallet } from "../identity/wallet_file.ts";

/** Opens the home's database for whoever its wallet says. Throws IdentityError. */
export async function openOwnDatabase(paths: HomePaths): Promise<Database> {
  return new Database(paths, (await readWallet(paths)).peerId);
}
