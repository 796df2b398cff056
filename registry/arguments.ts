/**
 * The command line of `talos-server`: its options and nothing else. Pure.
 *
 * There are few, so the parser of the runtime does; it has no abbreviations and no guesses either.
 */

import { parseArgs } from "node:util";
import { messageOf } from "../lib/errors.ts";
import { RegistryError } from "./errors.ts";

/** The port of every registry unless told otherwise: `HOST` alone means it everywhere. */
export const DEFAULT_PORT = 8765;

/** What `talos-server --help` prints. */
export const HELP = `Usage: talos-server [options]

The registry of Talos: where peers find and reach each other. In this version it has an identity,
says who it is and shakes hands, and no more: directory, relay and mailbox are not built yet.

Options:
  --port N        the port to listen on; 0 for any (default: ${DEFAULT_PORT})
  --host ADDR     the address to listen on (default: all)
  --data-dir DIR  where its key lies (default: registry in $TALOS_HOME, else in ~/.talos)
  --json          events, log and errors as JSON
  --verbose       say more on stderr
  -V, --version   print the version
  -h, --help      print this

It runs until SIGINT or SIGTERM.`;

/** What somebody wants of `talos-server`. */
export type Request =
  | { readonly want: "help" }
  | { readonly want: "version" }
  | ({ readonly want: "serve" } & ServeOptions);

/** How to serve. */
export interface ServeOptions {
  /** 0 for any free one. */
  readonly port: number;
  /** Undefined for all interfaces. */
  readonly host: string | undefined;
  /** Undefined for the default. */
  readonly dataDir: string | undefined;
  /** Events, log and errors as JSON. */
  readonly json: boolean;
  /** Debug lines too. */
  readonly verbose: boolean;
}

const MAX_PORT = 65_535;

/** Returns what the words ask for. Throws RegistryError "usage". */
export function parseArguments(words: readonly string[]): Request {
  const { values } = parsed(words);
  if (values.help === true) return { want: "help" };
  if (values.version === true) return { want: "version" };
  return {
    want: "serve",
    port: parsePort(values.port),
    host: nonEmpty("--host", values.host),
    dataDir: nonEmpty("--data-dir", values["data-dir"]),
    json: values.json === true,
    verbose: values.verbose === true,
  };
}

function parsed(words: readonly string[]) {
  try {
    return parseArgs({
      args: [...words],
      strict: true,
      options: {
        "port": { type: "string" },
        "host": { type: "string" },
        "data-dir": { type: "string" },
        "json": { type: "boolean" },
        "verbose": { type: "boolean" },
        "version": { type: "boolean", short: "V" },
        "help": { type: "boolean", short: "h" },
      },
    });
  } catch (error) {
    const [sentence = ""] = messageOf(error).split(/\.\s/);
    throw usage(sentence.replace(/\.$/, ""));
  }
}

function parsePort(text: string | undefined): number {
  if (text === undefined) return DEFAULT_PORT;
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Infinity;
  if (port > MAX_PORT) throw usage(`Cannot use --port ${text}: it is not 0 to ${MAX_PORT}`);
  return port;
}

function nonEmpty(option: string, text: string | undefined): string | undefined {
  if (text === "") throw usage(`Cannot use ${option}: it is empty`);
  return text;
}

function usage(sentence: string): RegistryError {
  return new RegistryError("usage", sentence, {
    hints: ["talos-server --help lists the options"],
  });
}
