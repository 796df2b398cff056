/**
 * Single values in a line that was scanned before: where they stand, and the line with another one there.
 *
 * Everything else in the line stays as the bytes it came as.
 */

import { type Bytes, concat } from "../bytes.ts";
import { keyHash } from "./key_table.ts";
import { JsonReader, OPEN_OBJECT } from "./strict.ts";

// One reader serves all lines: reading is synchronous and calls nothing that could come back here.
const reader = new JsonReader(keyHash(crypto.getRandomValues(new Uint32Array(2))));

/**
 * Returns the JSON tokens, as views into `line`, of the member that is reached by the keys of `path`: several
 * where a key stands more than once. `line` holds one JSON object, as the scanner found.
 */
export function tokensAt(line: Bytes, path: readonly string[]): Bytes[] {
  reader.open(line, false);
  try {
    const found: Bytes[] = [];
    reader.peek();
    collect(line, path, 0, found);
    return found;
  } finally {
    reader.close();
  }
}

function collect(line: Bytes, path: readonly string[], depth: number, found: Bytes[]): void {
  reader.enterObject(false);
  while (reader.nextKey()) {
    const isOnPath = reader.text() === path[depth];
    const first = reader.peek();
    const start = reader.at;
    if (isOnPath && depth < path.length - 1 && first === OPEN_OBJECT) {
      collect(line, path, depth + 1, found);
      continue;
    }
    reader.value();
    if (isOnPath && depth === path.length - 1) found.push(line.subarray(start, reader.at));
  }
}

/** Returns `line` with `replacement` in place of `token`, which is a view into it. */
export function replaceToken(line: Bytes, token: Bytes, replacement: Bytes): Bytes {
  const start = token.byteOffset - line.byteOffset;
  if (
    token.buffer !== line.buffer || start < 0 ||
    start + token.length > line.length
  ) throw new TypeError("Cannot replace token: it is no view into the line");
  return concat(line.subarray(0, start), replacement, line.subarray(start + token.length));
}
