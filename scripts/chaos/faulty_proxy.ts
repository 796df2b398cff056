/**
 * A TCP proxy that fails on command: it resets connections at a chosen byte, falls silent, or passes no
 * more than a slow link would.
 *
 * Silence is that of a dead path: nothing is read, nothing is refused, and what was under way comes out
 * when it ends. A connection that is made during silence is accepted, as the network behind a dead hop
 * would not do; its first byte waits like all others. The kernel's socket buffers in front of a slow link
 * are part of it: some megabytes.
 */

import { type AddressInfo, connect, createServer, type Server, type Socket } from "node:net";
import { once } from "node:events";
import { pause } from "../pause.ts";

/** Which way bytes go: `up` from the caller to the target, `down` back. */
export type Direction = "up" | "down";

const PIECE_BYTES = 1400;

/** A proxy from a free port of 127.0.0.1 to another one. */
export class FaultyProxy implements AsyncDisposable {
  readonly #server: Server;
  readonly #target: number;
  readonly #links = new Set<Link>();
  readonly #bytesPerSecond: number;
  #speaking = Promise.withResolvers<void>();
  #silent = false;

  private constructor(server: Server, target: number, bytesPerSecond: number) {
    this.#server = server;
    this.#target = target;
    this.#bytesPerSecond = bytesPerSecond;
    this.#speaking.resolve();
    server.on("connection", (near) => this.#accept(near));
  }

  /** Begins to pass connections to `127.0.0.1:target` on, each way at most so fast. */
  static async start(target: number, bytesPerSecond = Infinity): Promise<FaultyProxy> {
    const server = createServer();
    const proxy = new FaultyProxy(server, target, bytesPerSecond);
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    return proxy;
  }

  /** Where to connect instead. */
  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** How many connections there are. */
  get connections(): number {
    return this.#links.size;
  }

  /** Connections made since the beginning. */
  accepted = 0;

  /** Resets every connection at both ends, at once. */
  cut(): void {
    for (const link of this.#links) link.reset();
  }

  /**
   * Resets every connection when so many more bytes went that way: between any two bytes of a record.
   * Resolves when that has happened to all that there are now, or when they ended otherwise.
   */
  async cutAfter(direction: Direction, bytes: number): Promise<void> {
    await Promise.all([...this.#links].map((link) => link.resetAfter(direction, bytes)));
  }

  /** Passes nothing on until {@link speak}. */
  silence(): void {
    if (this.#silent) return;
    this.#silent = true;
    this.#speaking = Promise.withResolvers();
  }

  /** Passes everything on again, what waited first. */
  speak(): void {
    this.#silent = false;
    this.#speaking.resolve();
  }

  /** Ends every connection and takes no more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.speak();
    this.cut();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, "close");
  }

  #accept(near: Socket): void {
    this.accepted++;
    const link = new Link(near, connect({ host: "127.0.0.1", port: this.#target }), {
      flowing: () => this.#silent ? this.#speaking.promise : null,
      bytesPerSecond: this.#bytesPerSecond,
    });
    this.#links.add(link);
    void link.ended.then(() => this.#links.delete(link));
  }
}

interface LinkOptions {
  /** What to wait for before a byte may pass; null for nothing. */
  readonly flowing: () => Promise<void> | null;
  readonly bytesPerSecond: number;
}

/** One connection and its continuation. */
class Link {
  readonly #near: Socket;
  readonly #far: Socket;
  readonly #options: LinkOptions;
  readonly #left: Record<Direction, number> = { up: Infinity, down: Infinity };
  readonly ended: Promise<unknown>;

  constructor(near: Socket, far: Socket, options: LinkOptions) {
    this.#near = near;
    this.#far = far;
    this.#options = options;
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      socket.on("error", () => this.reset());
    }
    this.ended = Promise.all([this.#pump("up"), this.#pump("down"), closed(near), closed(far)]);
  }

  reset(): void {
    for (const socket of [this.#near, this.#far]) {
      if (!socket.destroyed) socket.resetAndDestroy();
    }
  }

  async resetAfter(direction: Direction, bytes: number): Promise<void> {
    this.#left[direction] = bytes;
    await this.ended;
  }

  async #pump(direction: Direction): Promise<void> {
    const [from, to] = direction === "up" ? [this.#near, this.#far] : [this.#far, this.#near];
    try {
      for await (const chunk of from) await this.#pass(direction, chunk, to);
      to.end();
    } catch {
      this.reset(); // one of the two is gone: so is the connection
    }
  }

  async #pass(direction: Direction, chunk: Uint8Array, to: Socket): Promise<void> {
    const { flowing, bytesPerSecond } = this.#options;
    const size = bytesPerSecond === Infinity ? chunk.length : PIECE_BYTES;
    for (let at = 0; at < chunk.length; at += size) {
      await flowing();
      const piece = chunk.subarray(at, at + size);
      const left = this.#left[direction];
      this.#left[direction] = left - piece.length;
      const goesOn = to.destroyed || to.write(piece.subarray(0, left));
      if (left <= piece.length) {
        this.reset();
        return;
      }
      if (!goesOn) await drained(to);
      if (bytesPerSecond !== Infinity) await pause(piece.length / bytesPerSecond * 1000);
    }
  }
}

async function closed(socket: Socket): Promise<void> {
  if (!socket.closed) await new Promise<void>((resolve) => socket.once("close", () => resolve()));
}

async function drained(socket: Socket): Promise<void> {
  if (socket.destroyed) return;
  await new Promise<void>((resolve) => {
    const done = () => {
      socket.off("drain", done);
      socket.off("close", done);
      resolve();
    };
    socket.on("drain", done);
    socket.on("close", done);
  });
}
