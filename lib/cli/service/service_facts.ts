/** What a background service is made of, whatever the system: what runs, where, with which variables. */

import { parseServerName } from "../../identity/names.ts";
import type { OperatingSystem } from "../../identity/file_path.ts";

/** A `mcp-serve` that the system is to start and to keep running. */
export interface ServiceFacts {
  /** What tells it from others of this user: `default`, or what `--name` says. */
  readonly name: string;
  /** The program with its arguments, every path in full. */
  readonly argv: readonly [string, ...string[]];
  /** Where it runs: relative paths in its options keep their meaning. */
  readonly directory: string;
  /** Variables that it needs. */
  readonly env: Readonly<Record<string, string>>;
  /** The home of the identity. */
  readonly home: string;
  /** The only other directories that it may write, where somebody said so; Linux alone can hold it to that. */
  readonly writable: readonly string[] | null;
}

/** Where a user's things are, as far as services need it. */
export interface UserFacts {
  /** The system. */
  readonly os: OperatingSystem;
  /** The user's directory. */
  readonly directory: string;
  /** Where the user's configuration is, if `$XDG_CONFIG_HOME` says so. */
  readonly configHome: string | undefined;
  /** The user's number; null on Windows. */
  readonly uid: number | null;
  /** The user's name, where a command needs it; on Windows with its domain. */
  readonly user: string;
  /** Where Windows is. */
  readonly systemRoot: string;
}

/** The name of the only service, where none is given. */
export const USUAL_NAME = "default";

/** Returns `text` as the name of a service: it names files, so it is as narrow as the name of a server. */
export function parseServiceInstance(text: string): string {
  return parseServerName(text);
}
