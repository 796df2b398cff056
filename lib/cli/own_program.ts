/** Where this very program is, as others have to be told who start it. */

/** Returns where the main module lies; its name alone where it was compiled in. */
export function mainModule(): string {
  if (Deno.build.standalone) return "main.ts";
  const url = new URL(import.meta.resolve("../../main.ts"));
  return Deno.build.os === "windows"
    ? decodeURIComponent(url.pathname.slice(1)).replaceAll("/", "\\")
    : decodeURIComponent(url.pathname);
}
