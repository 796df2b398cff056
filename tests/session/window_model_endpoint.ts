/**
 * The parts of the model of the windows: the two ends of a session, and a connection between them.
 *
 * They hold state and nothing else. What happens to them, and in which order, is for `window_model.ts`.
 */

import { EARLY_DATA_BYTES } from "../../lib/limits.ts";
import { type Fragment, ReceiveWindow, SendWindow } from "../../lib/session/window.ts";
import type { ReceiveHalf, SendHalf } from "./window_model_reference.ts";

/** One end of a session: the initiator, which dials, or the host. */
export type Side = "initiator" | "host";

/** Both ends. */
export const SIDES: readonly Side[] = ["initiator", "host"];

/** What makes windows. */
export interface Windows {
  /** Makes the sending half, with the credit before the first grant. */
  send(initialCredit: number): SendHalf;
  /** Makes the receiving half. `forgetPart` is there only for the mistake of the same name. */
  receive(maxMessage: number, granted: number): ReceiveHalf & { forgetPart?(): void };
}

/** The windows as they are. */
export const REAL_WINDOWS: Windows = {
  send: (initialCredit) => new SendWindow(initialCredit),
  receive: (maxMessage, granted) => new ReceiveWindow(maxMessage, granted),
};

/** Returns the end that is not `side`. */
export function other(side: Side): Side {
  return side === "host" ? "initiator" : "host";
}

/** A frame on its way. */
export type ModelFrame =
  | { readonly type: "resume"; readonly next: number }
  | { readonly type: "resumed"; readonly next: number }
  | { readonly type: "refused" }
  | { readonly type: "ack"; readonly ack: number; readonly credit: number }
  | {
    readonly type: "data";
    readonly fragment: Fragment;
    readonly ack: number;
    readonly credit: number;
  };

/** One connection: what is on its way, by whom it is for. */
export class ModelConnection {
  /** Which of the initiator's attempts it is. */
  readonly attempt: number;
  /** Which run of the host the session belongs to. */
  readonly instance: number;
  /** What is on its way, by whom it is for, oldest first. */
  readonly towards: Record<Side, ModelFrame[]> = { initiator: [], host: [] };
  /** Whether what is sent on it still goes anywhere. */
  alive = true;

  /** The initiator's attempt number `attempt`. */
  constructor(attempt: number, instance: number) {
    this.attempt = attempt;
    this.instance = instance;
  }

  /** Ends it at once for one end, which reads nothing more of it. */
  close(by: Side): void {
    this.alive = false;
    this.towards[by].length = 0;
  }
}

/** What one end holds of the session. */
export class Endpoint {
  /** What it sends. */
  readonly sender: SendHalf;
  /** What it receives. */
  readonly receiver: ReturnType<Windows["receive"]>;
  /** What it believes to be connected by. */
  connection: ModelConnection | null = null;
  /** Whether both have said on it what they lack, as far as this end knows. */
  resumed = false;
  /** The fragment that leaves next. */
  nextSeq = 1;
  /** A fragment below this one left on an earlier connection. */
  replayedTo = 0;
  /** Whether a delayed acknowledgement is due some time. */
  ackTimer = false;

  /** One that takes messages of up to `maxMessage` bytes; nothing has happened yet. */
  constructor(windows: Windows, maxMessage: number) {
    this.sender = windows.send(EARLY_DATA_BYTES);
    this.receiver = windows.receive(maxMessage, EARLY_DATA_BYTES);
  }

  /** Whether DATA may leave. */
  get canSend(): boolean {
    return this.connection !== null && this.resumed;
  }

  /** Whether what leaves next left before. */
  get isReplaying(): boolean {
    return this.canSend && this.nextSeq <= this.replayedTo;
  }
}
