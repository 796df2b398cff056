/** The version of these programs: the one place that names it besides deno.json. */

/** The version of `talos` and `talos-server` (https://semver.org). */
export const VERSION = "0.1.0";
