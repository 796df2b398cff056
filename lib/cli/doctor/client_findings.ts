/** What there is to say about the entries of this user's MCP clients. Pure. */

import type { ClientConfig, InstalledEntry } from "../clients/installed_entries.ts";
import { fail, type Finding, ok, skip, warn } from "./finding.ts";

/**
 * Returns what to say of the clients' configurations.
 *
 * @param peer Whose entries are looked for; undefined for all of them.
 * @param isMissing Tells whether a file that an entry starts is not there.
 */
export function clientFindings(
  configs: readonly ClientConfig[],
  peer: string | undefined,
  isMissing: (path: string) => boolean,
): readonly Finding[] {
  const findings = configs.flatMap(({ client, file, entries, fault }): readonly Finding[] => {
    if (fault !== null) {
      return [
        warn(
          "client",
          `${client.title}: ${fault}`,
          `mend ${file}: ${client.title} cannot read it either`,
        ),
      ];
    }
    return entries.filter(({ target }) => peer === undefined || isOf(target, peer)).map((entry) =>
      entryFinding(client.title, client.id, file, entry, isMissing)
    );
  });
  if (findings.some(({ status }) => status !== "warn")) return findings;
  if (peer === undefined) return [...findings, skip("client", "no MCP client here uses Talos")];
  return [
    ...findings,
    warn(
      "client",
      "no MCP client here has an entry for this peer",
      `write one: talos mcp-install ${peer} --client claude-desktop`,
    ),
  ];
}

function isOf(target: string, peer: string): boolean {
  return target === peer || target.startsWith(`${peer}/`) || target.startsWith(`${peer}@`);
}

function entryFinding(
  title: string,
  id: string,
  file: string,
  { name, target, entry }: InstalledEntry,
  isMissing: (path: string) => boolean,
): Finding {
  const missing = [entry.command, ...entry.args.filter((word) => /[\\/]main\.ts$/.test(word))]
    .find((path) => isAbsolute(path) && isMissing(path));
  if (missing === undefined) return ok("client", `${title} has "${name}" in ${file}`);
  return fail(
    "client",
    "client_config",
    `${title} has "${name}", which starts ${missing}: that is not there`,
    `write it anew: talos mcp-install ${target} --client ${id}`,
  );
}

function isAbsolute(path: string): boolean {
  return /^(?:[\\/]|[A-Za-z]:[\\/])/.test(path);
}
