/**
 * The least permissions that each command needs, and the command line that grants exactly these. Pure.
 *
 * What holds on every machine also stands in `deno.json` as named sets, for `deno run -P=COMMAND`; sets
 * cannot name the user's directory, so what is read and written is added there by hand. `mcp-serve` needs
 * `run` without limits, since ending a process group takes that: its walls are those of what it starts.
 */

import type { OperatingSystem } from "../identity/file_path.ts";
import { formatHostPort, type HostPort } from "../identity/host_port.ts";
import { CONFIG_VARIABLES } from "./clients/client.ts";
import { INHERITED_POSIX, INHERITED_WINDOWS } from "../mcp/child_environment.ts";

/** What is granted, by kind; `true` for all of a kind, absent for none. */
export interface Permissions {
  /** Files and directories, with what is below them. */
  readonly read?: readonly string[];
  /** The same. */
  readonly write?: readonly string[];
  /** Variables. */
  readonly env?: readonly string[];
  /** Facts about the system. */
  readonly sys?: readonly string[];
  /** Addresses, each `HOST` or `HOST:PORT`. */
  readonly net?: readonly string[] | true;
  /** Programs. */
  readonly run?: true;
}

/** What decides how much a command needs. */
export interface PermissionFacts {
  /** The home of the identity. */
  readonly home: string;
  /** The home of the former program, which is looked for and never read. */
  readonly former?: string;
  /** The file that `$TALOS_PASSPHRASE_FILE` names. */
  readonly passphraseFile?: string;
  /** The registry. */
  readonly registry?: HostPort;
  /** The file with its join token. */
  readonly tokenFile?: string;
  /** `mcp-connect`: where the host is, if that is said. */
  readonly address?: HostPort;
  /** `mcp-serve`: the address it listens on, if that is said. */
  readonly listenHost?: string;
  /** `mcp-serve`: false where it listens nowhere. */
  readonly listens?: boolean;
  /** `mcp-serve`: the port, if that is said. */
  readonly port?: number;
  /** `mcp-serve`: the port of the registry in it, if it has one. */
  readonly registryPort?: number;
  /** `mcp-install`, and `join` with a client: where programs are looked for. */
  readonly searchPath?: readonly string[];
  /** `mcp-install`: the client's folder. `doctor`: the clients' files. `service`: where its file belongs. `mcp-serve`: the programs it starts, or where they are looked for, and other files it looks at. */
  readonly looksAt?: readonly string[];
  /** `mcp-serve`: the variables that `--env NAME` hands down. */
  readonly variables?: readonly string[];
  /** `status`: where processes of this home listen. */
  readonly listening?: readonly string[];
}

type Needs = (os: OperatingSystem, facts: PermissionFacts) => Permissions;

const PASSPHRASE_ENV = ["TALOS_PASSPHRASE_FILE"];
const REGISTRY_ENV = ["TALOS_SERVER", "TALOS_JOIN_TOKEN_FILE"];

const INSTALL_ENV = ["PATHEXT", "DENO_DIR", ...CONFIG_VARIABLES];

/** Who the user is, and where the system keeps what it starts. */
const SERVICE_ENV = ["XDG_CONFIG_HOME", "USER", "USERDOMAIN", "USERNAME", "PATHEXT", "DENO_DIR"];

const NOTHING: Needs = () => ({});

const NEEDS: Readonly<Record<string, Needs>> = {
  init: (os, facts) => home(os, facts, { read: former(facts) }, PASSPHRASE_ENV),
  status: (os, facts) =>
    home(os, facts, {
      read: former(facts),
      net: ["127.0.0.1", ...facts.listening ?? [], ...registryAddress(facts)],
    }, [...PASSPHRASE_ENV, ...REGISTRY_ENV]),
  register: (os, facts) => withRegistry(os, facts),
  peers: (os, facts) => withRegistry(os, facts),
  "forget-registry": (os, facts) => home(os, facts),
  contacts: (os, facts) => home(os, facts),
  access: (os, facts) => home(os, facts),
  policy: (os, facts) => home(os, facts, { read: facts.looksAt ?? [] }),
  "mcp-serve": (os, facts) => ({
    ...home(os, facts, {
      read: facts.looksAt ?? [],
      net: [...listenAddresses(facts), ...registryAddress(facts), ...ownRegistry(facts)],
    }, [...PASSPHRASE_ENV, ...REGISTRY_ENV, ...childVariables(os), ...facts.variables ?? []]),
    sys: [...userFacts(os), "networkInterfaces"],
    run: true,
  }),
  invite: (os, facts) => ({
    ...home(os, facts, { read: former(facts) }, REGISTRY_ENV),
    sys: [...userFacts(os), "networkInterfaces", "hostname"],
  }),
  join: (os, facts) => {
    const variables = [...PASSPHRASE_ENV, ...REGISTRY_ENV];
    const needed = home(os, facts, { read: former(facts), net: true }, variables);
    const installs = facts.searchPath === undefined ? {} : installing(os, facts, needed);
    return { ...needed, ...installs, sys: [...userFacts(os), "hostname"] };
  },
  "mcp-connect": (os, { address, ...facts }) =>
    home(os, facts, { net: address === undefined ? true : [formatHostPort(address)] }, [
      ...PASSPHRASE_ENV,
      ...(address === undefined ? REGISTRY_ENV : []),
    ]),
  "mcp-install": (os, facts) => {
    const needed = home(os, facts, {}, [...PASSPHRASE_ENV, ...REGISTRY_ENV]);
    return { ...needed, ...installing(os, facts, needed) };
  },
  doctor: (os, facts) => {
    const variables = [...PASSPHRASE_ENV, ...REGISTRY_ENV, ...CONFIG_VARIABLES];
    const needed = home(os, facts, { read: facts.looksAt ?? [], net: true }, variables);
    return { ...needed, sys: [...userFacts(os), "statfs"] };
  },
  service: (os, facts) => {
    const looksAt = facts.looksAt ?? [];
    const variables = [...PASSPHRASE_ENV, ...REGISTRY_ENV, ...childVariables(os), ...SERVICE_ENV];
    const needed = home(os, facts, { read: [...looksAt, ...facts.searchPath ?? []] }, variables);
    return { ...needed, write: [...needed.write ?? [], ...looksAt], run: true };
  },
  logs: (os, facts) => {
    const variables = [...SERVICE_ENV, "SYSTEMROOT"];
    return { ...home(os, facts, { read: facts.looksAt ?? [] }, variables), run: true };
  },
  permissions: NOTHING,
  completions: NOTHING,
  version: NOTHING,
  help: NOTHING,
};

/** The commands whose permissions are known. */
export const PERMITTED_COMMANDS: readonly string[] = Object.keys(NEEDS);

/** Returns what `command` needs; null for a command that is not known. */
export function permissionsOf(
  os: OperatingSystem,
  command: string,
  facts: PermissionFacts,
): Permissions | null {
  return Object.hasOwn(NEEDS, command) ? NEEDS[command]?.(os, facts) ?? null : null;
}

/** Returns the words that run `main`, with `args`, under `permissions` and no others. */
export function denoArguments(
  permissions: Permissions,
  main: string,
  args: readonly string[],
): string[] {
  const { read, write, env, sys, net, run } = permissions;
  const flag = (kind: string, values: readonly string[] | true | undefined): string[] => {
    if (values === undefined || (values !== true && values.length === 0)) return [];
    return [values === true ? `--allow-${kind}` : `--allow-${kind}=${list(values)}`];
  };
  return [
    "deno",
    "run",
    "--no-prompt",
    ...flag("read", read),
    ...flag("write", write),
    ...flag("env", env),
    ...flag("sys", sys),
    ...flag("net", net),
    ...flag("run", run),
    main,
    ...args,
  ];
}

/** Deno takes a comma for the end of a value, two for one. */
function list(values: readonly string[]): string {
  return [...new Set(values)].map((value) => value.replaceAll(",", ",,")).join(",");
}

/** What every command needs that works in a home. */
function home(
  os: OperatingSystem,
  { home, passphraseFile, tokenFile }: PermissionFacts,
  more: Permissions = {},
  variables: readonly string[] = [],
): Permissions {
  const files = [
    ...(variables.includes("TALOS_PASSPHRASE_FILE") ? optional(passphraseFile) : []),
    ...(variables.includes("TALOS_JOIN_TOKEN_FILE") ? optional(tokenFile) : []),
  ];
  return {
    ...more,
    read: [home, ...files, ...more.read ?? []],
    write: [home],
    env: [os === "windows" ? "USERPROFILE" : "HOME", "TALOS_HOME", ...variables],
    sys: userFacts(os),
  };
}

/** What writing and trying a client's configuration needs beside `needed`. */
function installing(os: OperatingSystem, facts: PermissionFacts, needed: Permissions): Permissions {
  const { looksAt = [], searchPath = [] } = facts;
  return {
    read: [...needed.read ?? [], ...looksAt, ...searchPath],
    write: [...needed.write ?? [], ...looksAt],
    env: [...needed.env ?? [], ...childVariables(os), ...INSTALL_ENV],
    run: true,
  };
}

function withRegistry(os: OperatingSystem, facts: PermissionFacts): Permissions {
  return home(os, facts, { net: registryAddress(facts) }, [...PASSPHRASE_ENV, ...REGISTRY_ENV]);
}

/** Who runs the process, to see that files are its own. Windows has no such number. */
function userFacts(os: OperatingSystem): readonly string[] {
  return os === "windows" ? [] : ["uid"];
}

function childVariables(os: OperatingSystem): readonly string[] {
  return os === "windows" ? INHERITED_WINDOWS : INHERITED_POSIX;
}

function former({ former }: PermissionFacts): readonly string[] {
  return optional(former);
}

function registryAddress({ registry }: PermissionFacts): readonly string[] {
  return registry === undefined ? [] : [formatHostPort(registry)];
}

function listenAddresses({ listenHost, port, listens }: PermissionFacts): readonly string[] {
  if (listens === false) return [];
  const hosts = listenHost === undefined ? ["0.0.0.0", "::"] : [listenHost];
  return hosts.map((host) => {
    if (port !== undefined && port !== 0) return formatHostPort({ host, port });
    return host.includes(":") ? `[${host}]` : host;
  });
}

/** Where a registry in the process listens, and where the process reaches it. */
function ownRegistry({ listenHost, registryPort: port }: PermissionFacts): readonly string[] {
  if (port === undefined) return [];
  const own = listenHost === undefined ? "127.0.0.1" : listenHost;
  const facts = listenHost === undefined ? { port } : { listenHost, port };
  return [...listenAddresses({ home: "", ...facts }), formatHostPort({ host: own, port })];
}

function optional<T>(value: T | undefined): readonly T[] {
  return value === undefined ? [] : [value];
}
