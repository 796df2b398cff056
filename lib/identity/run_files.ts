/**
 * Which services of a home run, in which process, on which port.
 *
 * One process per (home, service). A claim is a lock on `run/<service>.lock`, held while the process
 * lives and freed by the operating system however it ends, so kill -9 leaves nothing that blocks the
 * next start. Beside it, `run/<service>.json` says who holds it: `{pid, instance, port, services}`,
 * and `host` where it listens on one address alone. Locks and files change only under one short lock on
 * `run/.lock`. So whoever finds a service claimed also finds the claimant's file, never the one of a
 * predecessor; a file without a held lock is a dead process's and is removed; and lock files can be
 * removed without letting two processes in.
 * Everything is synchronous and takes a few system calls. On network file systems this is as good as
 * their `flock`; process ids mean nothing beyond one machine.
 */

import { fromUtf8 } from "../bytes.ts";
import { MAX_FACTS_FILE_BYTES } from "../limits.ts";
import { PRIVATE_DIRECTORY_MODE, PRIVATE_FILE_MODE, unusable } from "./atomic_file.ts";
import { IdentityError } from "./errors.ts";
import { openLockFile, withFileLockSync } from "./file_lock.ts";
import { joinPath } from "./file_path.ts";
import type { HomePaths } from "./home.ts";
import { MAX_PORT } from "./host_port.ts";
import { arrayField, fieldsOf, integerField, type JsonFields, textField } from "./json_fields.ts";
import {
  mcpService,
  MESSAGES_SERVICE,
  parseServerName,
  parseServiceName,
  serverOf,
  serviceLabel,
  type ServiceName,
} from "./names.ts";
import { isJsonObject, JsonError, parseJson } from "./strict_json.ts";

/** Which process makes a claim. */
export interface ClaimantFacts {
  /** Its process id. */
  readonly pid: number;
  /** What tells this run of it from all others: random, up to 64 printable characters. */
  readonly instance: string;
}

/** What a running process says about itself. */
export interface RunFile extends ClaimantFacts {
  /** The TCP port it listens on, on this machine; 0 until it does. */
  readonly port: number;
  /** The one address it listens on; absent when it listens on all of this machine's. */
  readonly host?: string;
  /** All services that it claimed together. */
  readonly services: readonly ServiceName[];
}

/** Services that this process runs, until it ends or disposes of the claim. */
export interface ServiceClaim extends Disposable {
  /** What is claimed. */
  readonly services: readonly ServiceName[];
  /** Tells the other processes of this home where it listens. Throws IdentityError "home_unusable". */
  publish(facts: Pick<RunFile, "port" | "host">): void;
}

const MAX_PID = 2 ** 32 - 1;
const INSTANCE = /^[\x21-\x7e]{1,64}$/;
const MCP_FILE_PREFIX = "mcp-";
const MAX_HOST_CHARACTERS = 253;
const RUN_FIELDS = ["pid", "instance", "port", "services"];

/**
 * Claims all of `services` for this process, or none.
 *
 * Throws IdentityError "service_claimed", naming the process that runs one of them, "home_unusable",
 * and TypeError for facts that are none.
 */
export function claimService(
  paths: HomePaths,
  services: readonly ServiceName[],
  facts: ClaimantFacts,
): ServiceClaim {
  requireFacts(facts);
  makeRunDirectory(paths);
  const locks: Deno.FsFile[] = [];
  withFileLockSync(paths.runLock, () => {
    try {
      for (const service of services) locks.push(lockService(paths, service));
      for (const service of services) writeRunFile(paths, service, { ...facts, port: 0, services });
    } catch (error) {
      release(paths, services.slice(0, locks.length), locks);
      throw error;
    }
  });
  return new Claim(paths, services, facts, locks);
}

/**
 * Returns what the live processes of this home say, each once, in the order of their services' names.
 * Removes what dead ones left behind. Throws IdentityError "home_unusable".
 */
export function readRunFiles(paths: HomePaths): readonly RunFile[] {
  if (!hasRunDirectory(paths)) return [];
  return withFileLockSync(paths.runLock, () => {
    const found = new Map<string, RunFile>();
    for (const service of listedServices(paths)) {
      if (removeIfStale(paths, service)) continue;
      const facts = readRunFile(paths, service);
      if (facts !== null) found.set(facts.instance, facts);
    }
    return [...found.values()];
  });
}

/** Returns the name, without extension, of the files of `service` in `run/`: `messages`, `mcp-default`. */
export function runFileName(service: ServiceName): string {
  // Nothing but messages and mcp/… exists, so no other service's name can begin with `mcp-`.
  const server = serverOf(service);
  return server === null ? service : MCP_FILE_PREFIX + server;
}

class Claim implements ServiceClaim {
  readonly services: readonly ServiceName[];
  readonly #paths: HomePaths;
  readonly #facts: ClaimantFacts;
  #locks: readonly Deno.FsFile[];

  constructor(
    paths: HomePaths,
    services: readonly ServiceName[],
    facts: ClaimantFacts,
    locks: readonly Deno.FsFile[],
  ) {
    this.services = services;
    this.#paths = paths;
    this.#facts = facts;
    this.#locks = locks;
  }

  publish({ port, host }: Pick<RunFile, "port" | "host">): void {
    if (!Number.isInteger(port) || port < 1 || port > MAX_PORT) {
      throw new TypeError(`Cannot publish the port ${port}: it is not 1 to ${MAX_PORT}`);
    }
    if (this.#locks.length === 0) throw new TypeError("Cannot publish: the claim is disposed of");
    const facts = {
      ...this.#facts,
      port,
      ...(host === undefined ? {} : { host }),
      services: this.services,
    };
    withFileLockSync(this.#paths.runLock, () => {
      for (const service of this.services) writeRunFile(this.#paths, service, facts);
    });
  }

  [Symbol.dispose](): void {
    const locks = this.#locks;
    if (locks.length === 0) return;
    this.#locks = [];
    try {
      withFileLockSync(this.#paths.runLock, () => release(this.#paths, this.services, locks));
    } catch (error) {
      // The home is gone or cannot be locked. The claim ends with the locks; files are swept later.
      for (const lock of locks) closeQuietly(lock);
      if (!(error instanceof IdentityError)) throw error;
    }
  }
}

/** Takes the lock of one service. Only called under `run/.lock`. */
function lockService(paths: HomePaths, service: ServiceName): Deno.FsFile {
  const lock = openLockFile(pathOf(paths, service, "lock"));
  try {
    if (lock.tryLockSync(true)) return lock;
  } catch (error) {
    lock.close();
    throw unusable(`lock ${pathOf(paths, service, "lock")}`, error);
  }
  lock.close();
  const holder = readRunFile(paths, service);
  const who = holder === null ? "another process" : `process ${holder.pid}`;
  const name = serviceLabel(service);
  throw new IdentityError("service_claimed", `Cannot run "${name}": ${who} of this home runs it`, {
    hints: [
      ...(serverOf(service) === null ? [] : ["share this one under another name: --service NAME"]),
      "see what runs: talos status",
      holder === null ? "stop that process first" : `stop it: kill ${holder.pid}`,
    ],
  });
}

/** Gives services back: files first, then the locks. Only called under `run/.lock`. */
function release(
  paths: HomePaths,
  services: readonly ServiceName[],
  locks: readonly Deno.FsFile[],
): void {
  for (const service of services) removeQuietly(pathOf(paths, service, "json"));
  // Windows removes no open file, so close before; nobody can take the lock in between.
  for (const lock of locks) closeQuietly(lock);
  for (const service of services) removeQuietly(pathOf(paths, service, "lock"));
}

/** Removes the files of a service that no process holds. Only called under `run/.lock`. */
function removeIfStale(paths: HomePaths, service: ServiceName): boolean {
  using lock = openLockFile(pathOf(paths, service, "lock"));
  if (!lock.tryLockSync(true)) return false;
  removeQuietly(pathOf(paths, service, "json"));
  // On Windows this fails while it is open here; an unheld lock file is harmless.
  removeQuietly(pathOf(paths, service, "lock"));
  return true;
}

function writeRunFile(paths: HomePaths, service: ServiceName, facts: RunFile): void {
  const { pid, instance, port, host, services } = facts;
  const path = pathOf(paths, service, "json");
  try {
    Deno.writeTextFileSync(path, JSON.stringify({ pid, instance, port, host, services }) + "\n", {
      mode: PRIVATE_FILE_MODE,
    });
  } catch (error) {
    throw unusable(`write ${path}`, error);
  }
}

/** Returns the facts about a claimed service; null when its claimant could not write them. */
function readRunFile(paths: HomePaths, service: ServiceName): RunFile | null {
  const path = pathOf(paths, service, "json");
  try {
    const info = Deno.statSync(path);
    if (!info.isFile || info.size > MAX_FACTS_FILE_BYTES) return null;
    return parseRunFile(fromUtf8(Deno.readFileSync(path)));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return null;
    if (error instanceof JsonError || error instanceof TypeError) return null;
    throw unusable(`read ${path}`, error);
  }
}

function parseRunFile(text: string): RunFile {
  const value = parseJson(text);
  const listensOnOne = isJsonObject(value) && "host" in value;
  const fields = fieldsOf(value, "", listensOnOne ? [...RUN_FIELDS, "host"] : RUN_FIELDS);
  const services = arrayField(fields, "services").map((service) => {
    if (typeof service !== "string") throw new JsonError("a service is not a string");
    return parseServiceName(service);
  });
  return {
    pid: integerField(fields, "pid", 1, MAX_PID),
    instance: textField(fields, "instance"),
    port: integerField(fields, "port", 0, MAX_PORT),
    ...(listensOnOne ? { host: hostField(fields) } : {}),
    services,
  };
}

function hostField(fields: JsonFields): string {
  const host = textField(fields, "host");
  if (host !== "" && host.length <= MAX_HOST_CHARACTERS) return host;
  throw new JsonError("the field host is no address");
}

/** Returns the services that have a file or a lock file, by name. */
function listedServices(paths: HomePaths): readonly ServiceName[] {
  const services = new Set<ServiceName>();
  try {
    for (const { name } of Deno.readDirSync(paths.run)) {
      const service = serviceOfFile(name);
      if (service !== null) services.add(service);
    }
  } catch (error) {
    throw unusable(`list ${paths.run}`, error);
  }
  return [...services].sort();
}

function serviceOfFile(file: string): ServiceName | null {
  const name = /^(.+)\.(?:json|lock)$/.exec(file)?.[1];
  if (name === undefined) return null;
  if (name === MESSAGES_SERVICE) return MESSAGES_SERVICE;
  if (!name.startsWith(MCP_FILE_PREFIX)) return null;
  try {
    return mcpService(parseServerName(name.slice(MCP_FILE_PREFIX.length)));
  } catch {
    return null; // no service has this name: the file is none of ours
  }
}

function pathOf(paths: HomePaths, service: ServiceName, extension: "json" | "lock"): string {
  return joinPath(Deno.build.os, paths.run, `${runFileName(service)}.${extension}`);
}

function makeRunDirectory(paths: HomePaths): void {
  try {
    Deno.mkdirSync(paths.run, { recursive: true, mode: PRIVATE_DIRECTORY_MODE });
  } catch (error) {
    throw unusable(`make ${paths.run}`, error);
  }
}

function hasRunDirectory(paths: HomePaths): boolean {
  try {
    return Deno.statSync(paths.run).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw unusable(`look at ${paths.run}`, error);
  }
}

function requireFacts({ pid, instance }: ClaimantFacts): void {
  if (!Number.isInteger(pid) || pid < 1 || pid > MAX_PID || !INSTANCE.test(instance)) {
    throw new TypeError("Cannot claim a service: the process id or the instance is malformed");
  }
}

function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path);
  } catch {
    // It is gone already, or it stays and is swept by the next process that looks.
  }
}

function closeQuietly(file: Deno.FsFile): void {
  try {
    file.close();
  } catch {
    // It is closed already.
  }
}
