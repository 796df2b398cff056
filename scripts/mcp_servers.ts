/**
 * Real MCP servers from npm, started under the Deno that runs this, so that neither Node nor npx is needed.
 */

/** The filesystem server, with its version. */
export const FILESYSTEM_SERVER = "npm:@modelcontextprotocol/server-filesystem@2026.8.31";

/** The server that offers every kind of feature, with its version. */
export const EVERYTHING_SERVER = "npm:@modelcontextprotocol/server-everything@2026.8.31";

/** Downloads `server` if need be, and returns the command that starts it; its arguments follow. */
export async function prepareServer(server: string): Promise<readonly string[]> {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["cache", "--no-config", "--no-lock", "--quiet", server],
    stdout: "null",
    stderr: "piped",
  }).output();
  if (!success) throw new Error(`cannot get ${server}: ${new TextDecoder().decode(stderr)}`);
  return [Deno.execPath(), "run", "--allow-all", "--no-config", "--no-lock", "--quiet", server];
}
