/**
 * The root of every error that Talos raises on purpose.
 *
 * One class per layer extends {@link TalosError} with its own literal codes. Callers and tests match
 * `code`, never text. The text is one sentence, action then state, with the numbers in it; `hints`
 * name what to run next. Neither may ever hold a secret or unsanitised bytes from a remote.
 */

/** What may accompany an error. */
export interface TalosErrorOptions {
  /** The error that led to this one. */
  readonly cause?: unknown;
  /** What the user can do next, one sentence or command each, without the leading `hint:`. */
  readonly hints?: readonly string[];
}

/** The base class of all deliberate errors. */
export class TalosError<Code extends string = string> extends Error {
  /** The stable name of what went wrong, for programs. */
  readonly code: Code;
  #hints: readonly string[];

  /** Makes an error with a stable code and a sentence for people. */
  constructor(code: Code, message: string, options: TalosErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.#hints = options.hints ?? [];
  }

  /** What the user can do next, one line each. */
  get hints(): readonly string[] {
    return this.#hints;
  }

  /** Puts what `render` makes of each hint in its place, and returns this error. */
  renderHints(render: (hint: string) => string): this {
    this.#hints = this.#hints.map(render);
    return this;
  }

  /** Adds what only a higher layer knows to advise, and returns this error. */
  advise(...hints: readonly string[]): this {
    this.#hints = [...this.#hints, ...hints];
    return this;
  }
}

/** Returns the text of anything that was thrown, for a sentence that explains a cause. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
