/**
 * One connection to a registry for as long as somebody looks for a peer: made when it is first needed, used
 * for everything that is asked, closed at the end.
 */

import { RegistryClient, type RegistryOptions } from "./registry_client.ts";

/** A connection that is made when it is needed. */
export class RegistryVisit {
  readonly #options: RegistryOptions;
  #client: Promise<RegistryClient> | undefined;

  /** Connects to nobody yet. */
  constructor(options: RegistryOptions) {
    this.#options = options;
  }

  /** Returns the connection, which stays this visit's. Throws what {@link RegistryClient.connect} throws. */
  client(): Promise<RegistryClient> {
    this.#client ??= RegistryClient.connect(this.#options);
    return this.#client;
  }

  /** Closes the connection once it is made, if it was asked for. Never throws. */
  async close(): Promise<void> {
    try {
      await (await this.#client)?.[Symbol.asyncDispose]();
    } catch {
      // there is none; whoever asked for it knows
    }
  }
}
