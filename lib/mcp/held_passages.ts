/**
 * Messages that an interceptor holds back: each goes on once its fate is decided, and whoever ends a
 * session can wait for those that are on their way.
 */

import type { Passage } from "./pipeline.ts";

/** The held messages of one session, in both directions. */
export class HeldPassages {
  readonly #onError: (error: unknown) => void;
  readonly #held = new Set<Promise<void>>();

  /** `onError` takes what an interceptor failed with, and what carrying out its decision failed with. */
  constructor(onError: (error: unknown) => void) {
    this.#onError = onError;
  }

  /** Sees to it that `carryOut` is called for each held message of `passage`, once it is decided. */
  add({ held }: Passage, carryOut: (later: Passage) => void | Promise<void>): void {
    for (const decision of held) {
      const done = decision.then(carryOut).catch(this.#onError).finally(() =>
        this.#held.delete(done)
      );
      this.#held.add(done);
    }
  }

  /** Resolves when every message that is held now has been decided and carried out. */
  async settled(): Promise<void> {
    await Promise.all(this.#held);
  }
}
