/** Writes a setting into a home's database in a process of its own, or prints the one that is there. */

// deno-lint-ignore-file no-console -- the test reads what it prints

import { Database } from "../../lib/identity/database.ts";
import { homePaths } from "../../lib/identity/home.ts";
import { parsePeerId } from "../../lib/identity/peer_id.ts";

const [home = "", owner = "", name = "", value] = Deno.args;
const paths = homePaths(Deno.build.os, () => undefined, home);
using database = new Database(paths, parsePeerId(owner));
if (value === undefined) {
  console.log(database.setting(name));
} else {
  database.set(name, value);
  console.log("written");
}
