/** Looks at the registry, and at what it knows of this peer. */

import { formatRegistryAddress } from "../../discovery/registry_address.ts";
import type { RegistryClient, RegistryOptions } from "../../discovery/registry_client.ts";
import { pinnedKey } from "../../discovery/registry_keys.ts";
import { RegistryVisit } from "../../discovery/registry_visit.ts";
import { TalosError } from "../../errors.ts";
import { formatHostPort } from "../../identity/host_port.ts";
import { SILENT } from "../../log.ts";
import type { Context } from "../context.ts";
import {
  chooseRegistry,
  type RegistryChoice,
  type RegistryFlags,
  registryOptions,
} from "../registry_choice.ts";
import { failure, type Finding, ok, skip } from "./finding.ts";
import type { Machine } from "./local_checks.ts";
import { registrationFinding, registryFindings } from "./registry_findings.ts";
import type { Check } from "./run_checks.ts";

/** What was learnt of the registry. */
export interface RegistryVisited extends AsyncDisposable {
  /** Which one, and why that. */
  choice?: RegistryChoice;
  /** What it takes to connect to it. */
  options?: RegistryOptions;
  /** The connection, while it lasts. */
  client?: RegistryClient;
  /** The same, for whoever looks for a peer: a second one of the same process would end the first. */
  visit?: RegistryVisit;
}

/** Connecting, a handshake and a first request: more than a registry far away needs. */
const REGISTRY_LIMIT_MS = 6_000;

/** One request. */
const REQUEST_LIMIT_MS = 5_000;

/** Returns nothing learnt yet. */
export function unvisitedRegistry(): RegistryVisited {
  return {
    async [Symbol.asyncDispose]() {
      await this.visit?.close();
    },
  };
}

/** Returns the checks of the registry, which fill `visited`. */
export function registryChecks(
  context: Context,
  flags: RegistryFlags,
  machine: Machine,
  visited: RegistryVisited,
): readonly Check[] {
  return [
    {
      names: ["registry", "registry_key", "registry_clock"],
      needs: () => ["wallet", "database"],
      limitMs: REGISTRY_LIMIT_MS,
      lateCode: "registry_unreachable",
      look: (signal) => visitRegistry(context, flags, machine, visited, signal),
    },
    {
      names: ["registration"],
      needs: () => ["registry", "registry_key"],
      limitMs: REQUEST_LIMIT_MS,
      lateCode: "registry_unreachable",
      look: async () => {
        const { identity } = machine;
        const { client, choice } = visited;
        if (identity === undefined || client === undefined || choice === undefined) return [];
        const found = await client.lookup(identity.peerId);
        const place = formatRegistryAddress(choice.address);
        return [registrationFinding(found, place, machine.shares)];
      },
    },
  ];
}

async function visitRegistry(
  context: Context,
  flags: RegistryFlags,
  { identity, database }: Machine,
  visited: RegistryVisited,
  signal: AbortSignal,
): Promise<readonly Finding[]> {
  const { clock } = context;
  if (identity === undefined || database === undefined) return [];
  const choice = chooseRegistry(context, database, flags);
  const { address, chosenBy } = choice;
  visited.choice = choice;
  const pinned = pinnedKey(database, address);
  const options = await registryOptions(context, identity, database, address, flags);
  visited.options = { ...options, log: SILENT };
  const began = clock.monotonic();
  const late = new AbortController();
  let client: RegistryClient;
  try {
    // The signal ends a connection, too: it may only last as long as connecting does.
    signal.addEventListener("abort", () => visited.client === undefined && late.abort());
    const visit = new RegistryVisit({ ...visited.options, signal: late.signal });
    client = await visit.client();
    visited.visit = visit;
  } catch (error) {
    return unvisited(error, choice);
  }
  visited.client = client;
  const { hello, registry: key, skewMs } = client;
  return registryFindings({
    place: formatHostPort({ host: address.host, port: address.port }),
    chosenBy,
    key,
    keyFrom: address.id !== undefined
      ? "address"
      : pinned !== undefined
      ? "pinned"
      : "first contact",
    ms: clock.monotonic() - began,
    skewMs,
    observed: hello.observed,
  });
}

/** What to say of a registry that was not reached: nobody misses one that nobody chose. */
function unvisited(error: unknown, { address, chosenBy }: RegistryChoice): readonly Finding[] {
  if (!(error instanceof TalosError)) throw error;
  const place = formatHostPort({ host: address.host, port: address.port });
  switch (error.code) {
    case "registry_unreachable":
      if (chosenBy !== "default") break;
      return (["registry", "registry_key", "registry_clock"] as const).map((name) =>
        name === "registry"
          ? skip(
            name,
            `none was chosen, and none is at ${place}`,
            "choose one, if both sides use one: talos register --server HOST[:PORT]",
          )
          : skip(name, "not asked: registry was skipped")
      );
    case "registry_key_changed":
      return [ok("registry", `${place} answers`), failure("registry_key", error)];
    case "clock":
      return [ok("registry", `${place} answers`), failure("registry_clock", error)];
    default:
  }
  return [failure("registry", error)];
}
