/**
 * Ending a session in order: everything sent first, then CLOSE, then the other end's CLOSE and the end of its
 * stream, so that nothing on its way is destroyed. A connection that is lost meanwhile costs nothing: CLOSE is
 * said again over the next.
 *
 * How long that may take is what {@link Closing.close} and {@link Closing.conclude} differ in. However often
 * and however they are called, there is one end, and the first reason is the one that is told.
 */

import type { Bytes } from "../bytes.ts";
import { within } from "../clock.ts";
import { encodeReason, type ReasonBody } from "./bodies.ts";
import type { SessionCore } from "./session_core.ts";

/** How long the other end's CLOSE is waited for unless told otherwise; and how long for it to take anything. */
export const CLOSE_PATIENCE_MS = 2_000;

/** Ends one session. */
export class Closing {
  readonly #core: SessionCore;
  /** Resolves when the session has ended in order, or cannot any more; set once that was asked for. */
  #done: Promise<void> | undefined;

  /** Does nothing yet. */
  constructor(core: SessionCore) {
    this.#core = core;
  }

  /**
   * Ends the session in order within `patienceMs`, else without. Where it has no connection and this end
   * cannot make one, it ends at once: `canDial` tells.
   */
  async close(reason: ReasonBody, patienceMs: number, canDial: boolean): Promise<void> {
    const core = this.#core;
    try {
      const isAlone = core.standing.is === "detached" && !canDial;
      if (core.standing.is !== "ended" && !isAlone) {
        await within(core.clock, patienceMs, this.#begin(reason), undefined);
      }
    } finally {
      core.end();
    }
  }

  /**
   * Ends the session in order for as long as the other end takes what was sent. Where the session has no
   * connection, the other end may still come for that until the session is given up. What it still sends is
   * dropped, and it is granted no more credit: a session that only lingers holds nothing of the other end's.
   */
  async conclude(reason: ReasonBody): Promise<void> {
    const core = this.#core;
    core.receiver.discard();
    if (core.standing.is !== "ended") void this.#begin(reason);
    for (let heldBefore = Infinity; !this.#isOver;) {
      if (core.outage !== undefined) {
        await core.outage.over;
        heldBefore = Infinity;
        continue;
      }
      const { heldBytes } = core.sender;
      if (heldBytes >= heldBefore) break;
      heldBefore = heldBytes;
      const ended = core.ended.promise;
      const gone = core.link?.gone ?? ended;
      await within(core.clock, CLOSE_PATIENCE_MS, Promise.race([gone, ended]), 0);
    }
    core.end();
  }

  #begin(reason: ReasonBody): Promise<void> {
    if (this.#done === undefined) {
      this.#core.note({ kind: "closing" });
      this.#done = this.#closeInOrder(encodeReason("close", reason));
    }
    return this.#done;
  }

  async #closeInOrder(frame: Bytes): Promise<void> {
    const core = this.#core;
    while (await core.sender.finish()) {
      const { link } = core;
      if (link === undefined || core.standing.is === "detached") continue;
      link.closeSent = true;
      link.channel.enqueue(frame);
      await Promise.race([core.peerClosed.promise, link.gone]);
      if (!link.isGone) await link.channel.closeWrite();
      await link.gone;
      if (this.#isOver) return;
    }
  }

  get #isOver(): boolean {
    return this.#core.standing.is === "ended";
  }
}
