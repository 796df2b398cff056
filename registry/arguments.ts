/**
 * The command line of `talos-server`: its options and nothing else. Pure.
 *
 * There are few, so the parser of the runtime does; it has no abbreviations and no guesses either.
 */

import { parseArgs } from "node:util";
import { messageOf } from "../lib/errors.ts";
import { DEFAULT_REGISTRY_PORT, MAX_PORT, parseListenPort } from "../lib/identity/host_port.ts";
import { RegistryError } from "./errors.ts";

/** Where `/healthz` and the like are answered unless told otherwise: on this machine alone. */
export const DEFAULT_HTTP_HOST = "127.0.0.1";

/** What `talos-server --help` prints. */
export const HELP = `Usage: talos-server [options]

The registry of Talos: where peers find each other. It keeps who is registered and where their
services are, signed by themselves; it can neither read nor forge what they say to each other.

Options:
  --port N                the port to listen on; 0 for any (default: ${DEFAULT_REGISTRY_PORT})
  --host ADDR             the address to listen on (default: all)
  --data-dir DIR          where its key and its database lie
                          (default: registry in $TALOS_HOME, else in ~/.talos)
  --join-token-file FILE  let only those in who have the token in FILE
  --http-port N           answer /healthz, /readyz and /metrics on this port; 0 for any
  --http-host ADDR        the address for that (default: ${DEFAULT_HTTP_HOST})
  --json                  events, log and errors as JSON
  --verbose               say more on stderr
  -V, --version           print the version
  -h, --help              print this

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
  /** The file of the join token; undefined for a public registry. */
  readonly joinTokenFile: string | undefined;
  /** Undefined for no HTTP, 0 for any free port. */
  readonly httpPort: number | undefined;
  /** The address of the HTTP port. */
  readonly httpHost: string;
  /** Events, log and errors as JSON. */
  readonly json: boolean;
  /** Debug lines too. */
  readonly verbose: boolean;
}

/** Returns what the words ask for. Throws RegistryError "usage". */
export function parseArguments(words: readonly string[]): Request {
  const { values } = parsed(words);
  if (values.help === true) return { want: "help" };
  if (values.version === true) return { want: "version" };
  return {
    want: "serve",
    port: parsePort("--port", values.port) ?? DEFAULT_REGISTRY_PORT,
    host: nonEmpty("--host", values.host),
    dataDir: nonEmpty("--data-dir", values["data-dir"]),
    joinTokenFile: nonEmpty("--join-token-file", values["join-token-file"]),
    httpPort: parsePort("--http-port", values["http-port"]),
    httpHost: nonEmpty("--http-host", values["http-host"]) ?? DEFAULT_HTTP_HOST,
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
        "join-token-file": { type: "string" },
        "http-port": { type: "string" },
        "http-host": { type: "string" },
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

function parsePort(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const port = parseListenPort(text);
  if (port === null) throw usage(`Cannot use ${option} ${text}: it is not 0 to ${MAX_PORT}`);
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
