/** The version of this program, which is that of `talos-server` too. */

export { VERSION } from "../version.ts";
