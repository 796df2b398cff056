/**
 * The registration of a serving process: published at the registry that this home uses, and told to the
 * home's other commands over `talos/control`.
 *
 * `talos register` may choose another registry, or the same one once more, while services run: they are
 * told and follow at once. Without a registry that somebody chose, nothing is published, and callers need
 * this machine's address.
 */

import type { CallTaker } from "../discovery/relay_calls.ts";
import { Publisher } from "../discovery/publisher.ts";
import { formatRegistryAddress } from "../discovery/registry_address.ts";
import type { RegistryOptions } from "../discovery/registry_client.ts";
import type { Database } from "../identity/database.ts";
import type { LocalIdentity } from "../identity/local_identity.ts";
import type { ServiceName } from "../identity/names.ts";
import { interfaceAddresses } from "../identity/network_interfaces.ts";
import type { Bytes } from "../bytes.ts";
import { within } from "../clock.ts";
import { printable } from "../log.ts";
import type { ControlMethods } from "../session/control.ts";
import { Fields } from "../wire/fields.ts";
import type { MsgPackInput, MsgPackValue } from "../wire/msgpack.ts";
import type { Context } from "./context.ts";
import {
  chooseRegistry,
  isUnlisted,
  type RegistryFlags,
  registryOptions,
} from "./registry_choice.ts";

/** What is published. */
export interface Registered {
  /** Who we are. */
  readonly identity: LocalIdentity;
  /** What we call ourselves. */
  readonly name: string;
  /** Where the choice of registry lies. */
  readonly database: Database;
  /** Names this process: `INSTANCE_BYTES` random bytes. */
  readonly instance: Bytes;
  /** What it serves. */
  readonly services: readonly ServiceName[];
  /** On which port; 0 for none: then calls come through the relay alone. */
  readonly port: number;
  /** Takes calls through the registry's relay; without it there are none. */
  readonly calls?: CallTaker;
  /** At which address, if it is not all of them. */
  readonly host?: string;
}

/** How a process stands with its registry, as other commands see it. */
export type RegistrationStatus =
  | { readonly state: "none" }
  | {
    readonly state: "connecting";
    /** Where. */
    readonly registry: string;
    /** What went wrong before, if anything did. */
    readonly why?: string;
  }
  | {
    readonly state: "published";
    /** Where. */
    readonly registry: string;
    /** This machine's address as the registry sees it. */
    readonly observed: string;
    /** The registry's clock minus ours, in milliseconds. */
    readonly skew_ms: number;
  };

const MAX_TEXT_CHARACTERS = 1024;

/** How long a command waits for the registration that it brings about: less than for a process's answer. */
const ATTEMPT_PATIENCE_MS = 3_000;

/** Keeps a process registered until it is disposed of. */
export class Registration implements AsyncDisposable {
  readonly #context: Context;
  readonly #flags: RegistryFlags;
  #registered: Registered | undefined;
  #place: string | undefined;
  #token: string | undefined;
  #publisher: Publisher | undefined;
  #changing: Promise<void> = Promise.resolve();
  /** Resolves when what was begun last has ended, well or not. */
  #attempt: Promise<void> = Promise.resolve();

  /** Publishes nothing until {@link begin} is called. */
  constructor(context: Context, flags: RegistryFlags) {
    this.#context = context;
    this.#flags = flags;
  }

  /** Begins to publish, where somebody chose a registry. Throws IdentityError, CliError. */
  async begin(registered: Registered): Promise<void> {
    this.#registered = registered;
    await this.#change();
  }

  /** The registry that is published at, unless none is. */
  get place(): string | undefined {
    return this.#place;
  }

  /** What this process answers to the other commands of its home. */
  get methods(): ControlMethods {
    return {
      registration: () => this.#status(),
      register: async () => {
        await this.#change();
        // Whoever asked would rather hear how it went than that it goes on.
        await within(this.#context.clock, ATTEMPT_PATIENCE_MS, this.#attempt, undefined);
        return this.#status();
      },
    };
  }

  /** Withdraws what is published, and publishes nothing any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#registered = undefined;
    await this.#changing;
    const publisher = this.#publisher;
    this.#publisher = undefined;
    await publisher?.[Symbol.asyncDispose]();
  }

  /** Follows the choice of a registry, once the change that is under way has been made. */
  #change(): Promise<void> {
    const change = this.#changing.then(() => this.#follow());
    this.#changing = change.catch(() => {}); // whoever asked for it learns of it
    return change;
  }

  /** Publishes at the registry of now, anew if it is the one of before. */
  async #follow(): Promise<void> {
    const registered = this.#registered;
    if (registered === undefined) return;
    const { database } = registered;
    const { address, chosenBy } = chooseRegistry(this.#context, database, this.#flags);
    if (chosenBy === "default") return;
    const place = formatRegistryAddress(address);
    const { identity, instance } = registered;
    const options = await registryOptions(this.#context, identity, database, address, this.#flags);
    const before = this.#publisher;
    if (before !== undefined && place === this.#place && options.token === this.#token) {
      this.#attempt = before.refresh();
      return;
    }
    this.#publisher = this.#publisherWith({ ...options, instance }, registered);
    this.#attempt = this.#publisher.attempted;
    this.#place = place;
    this.#token = options.token;
    await before?.[Symbol.asyncDispose]();
  }

  #publisherWith(
    options: RegistryOptions,
    { database, name, services, port, host, calls }: Registered,
  ): Publisher {
    const { log } = this.#context;
    return new Publisher({
      ...options,
      name,
      unlisted: () => isUnlisted(database),
      services,
      port,
      ...(calls === undefined ? {} : { calls }),
      interfaces: () => interfaceAddresses(log).map(({ address }) => address),
      ...(host === undefined ? {} : { listenHost: host }),
    });
  }

  #status(): MsgPackInput {
    const publisher = this.#publisher;
    if (publisher === undefined || this.#place === undefined) return { state: "none" };
    const { state } = publisher;
    if (state.state === "published") {
      const { observed, skewMs } = state;
      return { state: "published", registry: this.#place, observed, skew_ms: Math.round(skewMs) };
    }
    const why = state.why === undefined ? {} : { why: printable(state.why, MAX_TEXT_CHARACTERS) };
    return { state: "connecting", registry: this.#place, ...why };
  }
}

/** Reads what a process answers to `registration` and `register`. Throws WireError. */
export function registrationStatusOf(value: MsgPackValue): RegistrationStatus {
  const fields = new Fields(value, "REGISTRATION");
  const state = fields.oneOf("state", ["none", "connecting", "published"]);
  if (state === "none") return { state };
  const text = (name: string) => fields.str(name, { max: 4 * MAX_TEXT_CHARACTERS });
  const registry = text("registry");
  if (state === "connecting") {
    const why = fields.optional("why", text);
    return { state, registry, ...(why === undefined ? {} : { why }) };
  }
  return { state, registry, observed: text("observed"), skew_ms: fields.int("skew_ms") };
}

/** Returns the state in a few words for people. */
export function registrationText(status: RegistrationStatus): string {
  switch (status.state) {
    case "none":
      return "not registered anywhere: talos register --server HOST[:PORT]";
    case "connecting":
      return status.why === undefined
        ? `connecting to the registry ${status.registry}`
        : `not registered now, trying again: ${status.why}`;
    case "published":
      return `registered at ${status.registry} as ${status.observed}`;
    default:
      throw status satisfies never;
  }
}
