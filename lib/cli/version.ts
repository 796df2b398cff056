/** The version of this program: the one place that names it besides deno.json. */

/** The program's version (https://semver.org). */
export const VERSION = "0.1.0";
