/**
 * The one place that renders a Talos command which somebody is to paste: in a hint, or as a next step.
 *
 * What was typed with `--home` or `--server` belongs to what is typed next: without them another identity, or
 * another registry, would answer. Hints are made in every layer and know nothing of flags, so a convention
 * ties them together: a command stands at the end of its line, behind `: `, and only a command for another
 * machine has that machine named before it. Commands in backticks are only spoken of, and stay as they are.
 */

import type { OperatingSystem } from "../identity/file_path.ts";
import { shellLine } from "./shell_line.ts";

/** The flags of this run that what is typed next needs as well. */
export interface OptionsInForce {
  /** What `--home` says. */
  readonly home?: string;
  /** What `--server` says. */
  readonly server?: string;
}

/** Whose options are none of ours. */
const ELSEWHERE = /\bon (?:the host|the agent's machine|the registry's machine|every machine)\b/;

const PASTED = /^(.*?: )?talos ([a-z][a-z-]*)((?: .*)?)$/su;

/** Commands that ask a registry. */
const ASKS_REGISTRY = /^(?:peers|mcp-serve|mcp-connect|doctor)$/;

/**
 * Returns a hint, or a command line alone, with the options in force in its command. What has them already,
 * or is meant for another machine, comes back as it is.
 */
export function withOptionsInForce(
  os: OperatingSystem,
  { home, server }: OptionsInForce,
  hint: string,
): string {
  const [, purpose = "", name = "", rest = ""] = PASTED.exec(hint) ?? [];
  if (name === "" || ELSEWHERE.test(purpose) || rest.includes(" --help")) return hint;
  const flag = (option: string, value: string | undefined) =>
    value === undefined ? "" : ` ${shellLine(os, [option, value])}`;
  // Flags stand behind the peer, where people look for them.
  const target = /^(?:mcp-connect|doctor)$/.test(name) ? /^ \S+/.exec(rest)?.[0] ?? "" : "";
  const asks = ASKS_REGISTRY.test(name) && !target.includes("@") && !/ --server\b/.test(rest);
  const registry = asks ? flag("--server", server) : "";
  return `${purpose}talos${flag("--home", home)} ${name}${target}${registry}${
    rest.slice(target.length)
  }`;
}
