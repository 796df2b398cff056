/**
 * `talos doctor [PEER[/SERVICE]]`: makes every check there is, and says of each what is so and what to do.
 *
 * Findings are printed as they come, on stdout. The first failure is what the command ends with, and its exit
 * status is that which another command would have had that met it.
 */

import { printable } from "../../log.ts";
import { clientConfigs } from "../clients/installed_entries.ts";
import type { Context } from "../context.ts";
import { clientFindings } from "../doctor/client_findings.ts";
import { type CheckStatus, checkText, type Finding, firstFailure } from "../doctor/finding.ts";
import { localChecks, unknownMachine } from "../doctor/local_checks.ts";
import { PeerExamination } from "../doctor/peer_checks.ts";
import { registryChecks, unvisitedRegistry } from "../doctor/registry_checks.ts";
import { type Check, runChecks } from "../doctor/run_checks.ts";
import type { RegistryFlags } from "../registry_choice.ts";

const MARKS: Readonly<Record<CheckStatus, string>> = {
  ok: "ok  ",
  warn: "warn",
  fail: "FAIL",
  skip: "skip",
};

/** The longest name of a check, and two blanks. */
const NAME_COLUMNS = 17;

const CLIENT_LIMIT_MS = 5_000;

/** Makes the checks. Throws the first failure as TalosError. */
export async function doctorCommand(
  context: Context,
  options: RegistryFlags,
  target: string | undefined,
): Promise<void> {
  const { output, clock } = context;
  using machine = unknownMachine();
  await using visited = unvisitedRegistry();
  await using examination = target === undefined
    ? null
    : new PeerExamination(context, target, machine, visited);
  const checks = [
    ...localChecks(context, machine),
    ...registryChecks(context, options, machine, visited),
    ...examination?.checks ?? [],
    clientCheck(context, examination),
  ];
  const findings: Finding[] = [];
  for await (const finding of runChecks(checks, clock)) {
    const rendered = { ...finding, fixes: finding.fixes.map((fix) => output.rendered(fix)) };
    findings.push(rendered);
    if (!output.json) output.result(findingText(rendered), null);
  }
  if (output.json) output.result("", findings.map(findingValue));
  const failure = firstFailure(findings);
  if (failure !== null) throw failure;
  if (target === undefined && !output.json) {
    output.next([{ command: "talos doctor PEER[/SERVICE]", purpose: "look at a peer as well" }]);
  }
}

function clientCheck(context: Context, examination: PeerExamination | null): Check {
  return {
    names: ["client"],
    needs: () => examination === null ? [] : ["peer"],
    limitMs: CLIENT_LIMIT_MS,
    lateCode: "client_config",
    look: async () => clientFindings(await clientConfigs(context), examination?.peer, isMissing),
  };
}

/** Tells whether there is nothing at `path`; what is not ours to look at may well be there. */
function isMissing(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return false;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}

/** Returns a finding as people read it: a line, and one for each thing to do. */
function findingText({ check, status, fact, fixes }: Finding): string {
  const line = `${MARKS[status]}  ${checkText(check).padEnd(NAME_COLUMNS)}${printable(fact)}`;
  return [line, ...fixes.map((fix) => `      fix: ${printable(fix)}`)].join("\n");
}

/** Returns a finding as programs read it. */
function findingValue({ check, status, fact, fixes }: Finding) {
  return { check, status, fact, ...(fixes.length === 0 ? {} : { fix: fixes.join("; ") }) };
}
