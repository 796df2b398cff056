/**
 * What is on its way to an agent: one line after the other, and how much there may be of it.
 */

import type { Bytes } from "../bytes.ts";

/** How much may be on its way to an agent before nothing more is taken from the host. */
const MAX_UNHEARD_BYTES = 1024 * 1024;

/** The writing half of an agent's connection. */
export class AgentOutput {
  readonly #write: (line: Bytes) => Promise<void>;
  readonly #broken: () => void;
  #unheardBytes = 0;
  #lastWritten: Promise<void> = Promise.resolve();

  /** `write` writes one line and throws when the agent is gone; then `broken` is called. */
  constructor(write: (line: Bytes) => Promise<void>, broken: () => void) {
    this.#write = write;
    this.#broken = broken;
  }

  /** Resolves when all that was written so far is with the agent, or the agent is gone. */
  get written(): Promise<void> {
    return this.#lastWritten;
  }

  /** Writes a line. Resolves as {@link written} does; never rejects. */
  write(line: Bytes): Promise<void> {
    this.#unheardBytes += line.length;
    const heard = () => void (this.#unheardBytes -= line.length);
    const broken = () => {
      heard();
      this.#broken();
    };
    return this.#lastWritten = this.#write(line).then(heard, broken);
  }

  /** Waits until not too much is on its way. */
  async room(): Promise<void> {
    while (this.#unheardBytes > MAX_UNHEARD_BYTES) await this.#lastWritten;
  }

  /** Whether {@link room} would not wait. */
  get hasRoom(): boolean {
    return this.#unheardBytes <= MAX_UNHEARD_BYTES;
  }
}
