/**
 * What a user is told about the path to a host: with `--verbose` every loss and every return, without it
 * only a loss that lasts, and its end. An agent notices nothing but the time.
 */

import { type PeerId, shortPeerId } from "../identity/peer_id.ts";
import type { Log } from "../log.ts";
import type { PathEvent, PathObserver } from "../session/session.ts";
import { describePath } from "../transport/transport.ts";

/** A loss that lasts longer is told to everybody: by now somebody may wonder. */
const LONG_LOSS_MS = 5_000;

/**
 * Returns what tells `log` about the path to `peer`.
 *
 * @param roundTripMs How long a question is under way on it now, there and back, in milliseconds.
 */
export function pathReporter(
  log: Log,
  peer: PeerId,
  roundTripMs: () => number | undefined,
): PathObserver {
  let told = false;
  const host = shortPeerId(peer);
  return (event: PathEvent) => {
    switch (event.kind) {
      case "lost":
        told = false;
        log.debug("path lost, reconnecting…", {
          host,
          path: describePath(event.path),
          why: event.why,
        });
        return;
      case "retrying": {
        const { failures, why, afterMs } = event;
        log.debug("cannot reach the host yet", { host, failures, why });
        if (told || afterMs < LONG_LOSS_MS) return;
        told = true;
        log.warn("the path to the host is lost; trying on", {
          host,
          lost_s: seconds(afterMs),
          why,
        });
        return;
      }
      case "resumed": {
        const { afterMs, replayed, path } = event;
        const messages = `${replayed} message${replayed === 1 ? "" : "s"}`;
        const text = `resumed after ${seconds(afterMs)} s, ${messages} replayed`;
        (told ? log.info : log.debug)(text, { host, path: describePath(path, roundTripMs()) });
        return;
      }
      default:
        event satisfies never;
    }
  };
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}
