/** A transport under another label: the bytes go as they did, but it is known by another way. */

import type { PathLabel, Transport } from "./transport.ts";

/** Returns `transport`, which it takes over, with `path` instead of its own label. */
export function withPath(transport: Transport, path: PathLabel): Transport {
  return {
    path,
    read: (into) => transport.read(into),
    write: (bytes) => transport.write(bytes),
    closeWrite: () => transport.closeWrite(),
    close: () => transport.close(),
    [Symbol.dispose]: () => transport.close(),
  };
}
