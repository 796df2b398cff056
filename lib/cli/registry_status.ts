/**
 * How this peer stands with its registry, asked of the registry itself: for `talos status`.
 *
 * Whoever asks for a status does not want to wait: what is not known after two seconds is not known.
 */

import { formatRegistryAddress } from "../discovery/registry_address.ts";
import { RegistryClient } from "../discovery/registry_client.ts";
import { messageOf, TalosError } from "../errors.ts";
import type { Database } from "../identity/database.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import { MAX_CLOCK_SKEW_MS } from "../limits.ts";
import { SILENT } from "../log.ts";
import type { Context } from "./context.ts";
import { chooseRegistry, type RegistryChoice, registryOptions } from "./registry_choice.ts";

/** What a registry says of us. */
export interface RegistryStatus {
  /** Where it is. */
  readonly registry: string;
  /** Who chose it. */
  readonly chosen_by: RegistryChoice["chosenBy"];
  /** Its key; null while it was not reached. */
  readonly key: string | null;
  /** Whether it knows us; null when it could not be asked. */
  readonly registered: boolean | null;
  /** This machine's address as it sees it. */
  readonly observed?: string;
  /** Its clock minus ours, in milliseconds. */
  readonly skew_ms?: number;
  /** Why it could not be asked. */
  readonly why?: string;
  /** What to do about that. */
  readonly hints?: readonly string[];
}

const PATIENCE_MS = 2_000;

/**
 * Returns how we stand with the registry that somebody chose; null where nobody did. Throws CliError for a
 * choice that cannot be read.
 */
export async function registryStatus(
  context: Context,
  identity: LocalIdentity | null,
  database: Database,
): Promise<RegistryStatus | null> {
  const { address, chosenBy } = chooseRegistry(context, database, {});
  if (chosenBy === "default") return null;
  const { host, port } = address;
  const asked = {
    registry: formatRegistryAddress({ host, port }),
    chosen_by: chosenBy,
    key: address.id ?? null,
    registered: null,
  };
  if (identity === null) return { ...asked, why: "not asked, as the wallet is locked" };
  const limit = new AbortController();
  using _timer = context.clock.after(PATIENCE_MS, () => limit.abort());
  try {
    await using client = await RegistryClient.connect({
      ...await registryOptions(context, identity, database, address, {}),
      log: SILENT,
      signal: limit.signal,
    });
    const found = await client.lookup(identity.peerId);
    return {
      ...asked,
      key: client.registry,
      registered: found !== null,
      observed: client.hello.observed,
      skew_ms: client.skewMs,
    };
  } catch (error) {
    if (!(error instanceof TalosError)) throw error;
    const why = limit.signal.aborted ? `no answer in ${PATIENCE_MS / 1000} s` : messageOf(error);
    return { ...asked, why, hints: error.hints };
  }
}

/** Returns the lines that `talos status` has for it. */
export function registryLines(status: RegistryStatus | null): string[] {
  if (status === null) return [];
  const { registry, key, registered, observed, skew_ms: skewMs, why } = status;
  const state = registered === null
    ? (why ?? "not asked").replace(/^Cannot reach the registry \S+: /, "cannot be reached: ")
    : registered
    ? `registered, seen as ${observed}`
    : "reached, but this peer is not registered there";
  return [
    `Registry: ${registry}${key === null ? "" : `, key ${key}`}`,
    `          ${state}`,
    ...(skewMs === undefined ? [] : [`          ${skewText(skewMs)}`]),
  ];
}

function skewText(skewMs: number): string {
  const seconds = (Math.abs(skewMs) / 1000).toFixed(1);
  const limit = MAX_CLOCK_SKEW_MS / 1000;
  if (Math.abs(skewMs) <= MAX_CLOCK_SKEW_MS) return `its clock differs by ${seconds} s`;
  return `its clock differs by ${seconds} s, the limit is ${limit} s: set this machine's clock, or its`;
}
