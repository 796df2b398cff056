/**
 * Records every JSON-RPC message that an MCP client's transport sends and receives, in order per
 * direction, and lets a script wait for one of them.
 *
 * The transport stays what it is: its own `send` and `onmessage` are wrapped in place, so clients that
 * look at its class see the real one.
 */

import { soon } from "../mcp_tunnel.ts";

/** What a transport of either generation of the MCP SDK has in common. */
export interface RecordableTransport<Message extends object> {
  /** Sends one message. */
  send(message: Message): Promise<void>;
  /** Takes one message that came. */
  onmessage?: ((message: Message) => void) | undefined;
}

/** The messages of one client, as they stood when they were recorded: JSON texts. */
export interface Transcript {
  /** What the client sent. */
  readonly sent: readonly string[];
  /** What reached the client. */
  readonly received: readonly string[];
}

/** A transcript that grows. */
export class Recording<Message extends object> implements Transcript {
  /** What the client sent so far. */
  readonly sent: string[] = [];
  /** What reached the client so far. */
  readonly received: string[] = [];
  readonly #counts = new Map<string, number>();
  #arrival = Promise.withResolvers<void>();

  /** Records `transport` from now on. */
  constructor(transport: RecordableTransport<Message>) {
    const send = transport.send.bind(transport);
    transport.send = (message) => {
      this.sent.push(JSON.stringify(message));
      return send(message);
    };
    let taker = transport.onmessage;
    let taking = false;
    const deliver = (to: (message: Message) => void, message: Message) => {
      // A client may put a function in this place that calls the one it found there.
      if (taking) return to(message);
      taking = true;
      try {
        this.#record(message);
        to(message);
      } finally {
        taking = false;
      }
    };
    Object.defineProperty(transport, "onmessage", {
      get: () => {
        const to = taker;
        return to === undefined ? undefined : (message: Message) => deliver(to, message);
      },
      set: (next: typeof taker) => {
        taker = next;
      },
    });
  }

  /** Resolves when the client has received `count` messages of `method` since the beginning. */
  async until(method: string, count: number): Promise<void> {
    const arrived = async () => {
      while ((this.#counts.get(method) ?? 0) < count) await this.#arrival.promise;
    };
    await soon(arrived(), `${method}, number ${count}`);
  }

  #record(message: Message): void {
    this.received.push(JSON.stringify(message));
    if ("method" in message && typeof message.method === "string") {
      this.#counts.set(message.method, (this.#counts.get(message.method) ?? 0) + 1);
    }
    const { resolve } = this.#arrival;
    this.#arrival = Promise.withResolvers();
    resolve();
  }
}
