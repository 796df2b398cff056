import assert from "node:assert/strict";
import { type Bytes, equalBytes, utf8 } from "../../lib/bytes.ts";
import { type Fragment, ReceiveWindow, SendWindow, windowBytes } from "../../lib/session/window.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";

const MIB = 1024 * 1024;
const protocol = (message: RegExp) => ({ code: "protocol", message });

function fragment(seq: number, length: number, more = false): Fragment {
  return { seq, more, bytes: new Uint8Array(length) };
}

Deno.test("windowBytes() is one largest message and 1 MiB", () => {
  assert.equal(windowBytes(64 * MIB), 65 * MIB);
});

Deno.test("SendWindow cuts a message into fragments when it is longer than a record", () => {
  const window = new SendWindow(10 * MIB);
  const message = new Uint8Array(140_000);
  window.push(message);
  const cut = [window.next(), window.next(), window.next()];
  assert.deepEqual(cut.map((piece) => [piece?.seq, piece?.more, piece?.bytes.length]), [
    [1, true, 65_497],
    [2, true, 65_497],
    [3, false, 9_006],
  ]);
  assert.equal(window.next(), null);
  assert.equal(cut[0]?.bytes.buffer, message.buffer); // nothing is copied
  assert.equal(window.lastSeq, 3);
});

Deno.test("SendWindow numbers messages on, the empty one too", () => {
  const window = new SendWindow(10_000);
  for (const text of ["a", "", "bc"]) window.push(utf8(text));
  const sent = [window.next(), window.next(), window.next()];
  assert.deepEqual(sent.map((piece) => [piece?.seq, piece?.more, piece?.bytes.length]), [
    [1, false, 1],
    [2, false, 0],
    [3, false, 2],
  ]);
});

Deno.test("SendWindow sends what has credit and no more: 256 bytes for each fragment and its own", () => {
  const window = new SendWindow(256 + 10 + 256 + 20);
  window.push(new Uint8Array(10));
  window.push(new Uint8Array(20));
  window.push(new Uint8Array(0));
  assert.equal(window.next()?.seq, 1);
  assert.equal(window.next()?.seq, 2);
  assert.equal(window.next(), null);
  assert.equal(window.allSent, false);
  window.acknowledge(1, 256 + 20 + 255);
  assert.equal(window.next(), null);
  window.acknowledge(1, 256 + 20 + 256);
  assert.equal(window.next()?.seq, 3);
  assert.equal(window.allSent, true);
});

Deno.test("SendWindow waits for more credit when the fragment would be shorter than 1,024 bytes", () => {
  const window = new SendWindow(256 + 1023);
  window.push(new Uint8Array(5000));
  assert.equal(window.next(), null);
  window.acknowledge(0, 256 + 1024);
  const first = window.next();
  assert.deepEqual([first?.more, first?.bytes.length], [true, 1024]);
  // The rest is as short as it is.
  window.acknowledge(1, 256 + 3976);
  const last = window.next();
  assert.deepEqual([last?.more, last?.bytes.length], [false, 3976]);
});

Deno.test("SendWindow counts what it holds until it is acknowledged", () => {
  const window = new SendWindow(10_000);
  assert.equal(window.heldBytes, 0);
  window.push(new Uint8Array(100));
  window.push(new Uint8Array(0));
  assert.equal(window.heldBytes, 100 + 256 + 256);
  window.next();
  window.next();
  assert.equal(window.heldBytes, 100 + 256 + 256);
  assert.equal(window.awaitsAck, true);
  assert.equal(window.acknowledge(1, 10_000), 100);
  assert.equal(window.heldBytes, 256);
  assert.equal(window.acknowledge(2, 10_000), 0);
  assert.equal(window.heldBytes, 0);
  assert.equal(window.awaitsAck, false);
});

Deno.test("SendWindow.acknowledge() throws when the fragment was not sent, and ignores an old one", () => {
  const window = new SendWindow(10_000);
  window.push(utf8("a"));
  window.push(utf8("b"));
  assert.throws(
    () => window.acknowledge(1, 0),
    protocol(/fragment 1 was not sent, the last was 0/),
  );
  window.next();
  assert.throws(
    () => window.acknowledge(2, 0),
    protocol(/fragment 2 was not sent, the last was 1/),
  );
  window.acknowledge(1, 10_000);
  assert.equal(window.acknowledge(0, 0), 0);
  assert.equal(window.next()?.seq, 2); // the old grant did not take credit away
});

Deno.test("SendWindow.rewind() sends again from the named fragment, and the rest behind it", () => {
  const window = new SendWindow(100_000);
  for (const text of ["a", "b", "c", "d"]) window.push(utf8(text));
  for (let i = 0; i < 3; i++) window.next();
  assert.equal(window.rewind(2), 1); // fragment 1 has arrived
  assert.equal(window.awaitsAck, false);
  assert.equal(window.allSent, false);
  const again = [window.next(), window.next(), window.next()];
  assert.deepEqual(again.map((piece) => [piece?.seq, piece?.bytes]), [
    [2, utf8("b")],
    [3, utf8("c")],
    [4, utf8("d")],
  ]);
  assert.equal(window.next(), null);
  assert.throws(
    () => window.acknowledge(5, 0),
    protocol(/fragment 5 was not sent, the last was 4/),
  );
  assert.equal(window.acknowledge(4, 1000), 3);
});

Deno.test("SendWindow.rewind() throws when the fragment is forgotten or was never sent", () => {
  const window = new SendWindow(100_000);
  for (const text of ["a", "b", "c"]) window.push(utf8(text));
  window.next();
  window.next();
  window.acknowledge(1, 100_000);
  assert.throws(() => window.rewind(1), protocol(/at fragment 1: it must be from 2 to 3/));
  assert.throws(() => window.rewind(4), protocol(/at fragment 4: it must be from 2 to 3/));
  assert.equal(window.rewind(3), 1); // everything sent has arrived
  assert.equal(window.next()?.seq, 3);
});

Deno.test("SendWindow.rewind() takes what has arrived off the credit", () => {
  const window = new SendWindow(256 + 100 + 256 + 100);
  for (let i = 0; i < 3; i++) window.push(new Uint8Array(100));
  window.next();
  window.next();
  window.rewind(2);
  assert.equal(window.next()?.seq, 2);
  assert.equal(window.next(), null); // the third was never granted
});

Deno.test("ReceiveWindow puts fragments together in order", () => {
  const window = new ReceiveWindow(10_000, 100_000);
  assert.equal(window.take(), null);
  const first = new Uint8Array(2000).fill(1);
  window.accept({ seq: 1, more: true, bytes: first });
  assert.equal(window.take(), null);
  window.accept({ seq: 2, more: false, bytes: Uint8Array.of(2, 3) });
  window.accept({ seq: 3, more: false, bytes: new Uint8Array(0) });
  const message = window.take();
  assert.ok(message !== null);
  assert.equal(message.length, 2002);
  assert.deepEqual(message.subarray(1998), Uint8Array.of(1, 1, 2, 3));
  assert.deepEqual(window.take(), new Uint8Array(0));
  assert.equal(window.take(), null);
  assert.equal(window.ack, 3);
  assert.equal(window.bufferedBytes, 0);
});

Deno.test("ReceiveWindow.accept() throws when a fragment is missing or comes twice", () => {
  const window = new ReceiveWindow(10_000, 100_000);
  assert.throws(() => window.accept(fragment(0, 1)), protocol(/fragment 0: fragment 1 is next/));
  assert.throws(() => window.accept(fragment(2, 1)), protocol(/fragment 2: fragment 1 is next/));
  window.accept(fragment(1, 1));
  assert.throws(() => window.accept(fragment(1, 1)), protocol(/fragment 1: fragment 2 is next/));
});

Deno.test("ReceiveWindow.accept() throws when a fragment costs more than was granted", () => {
  const window = new ReceiveWindow(10_000, 256 + 10);
  assert.throws(
    () => window.accept(fragment(1, 11)),
    protocol(/it costs 267 bytes, granted were 266/),
  );
  window.accept(fragment(1, 10));
  assert.throws(
    () => window.accept(fragment(2, 0)),
    protocol(/it costs 256 bytes, granted were 0/),
  );
  window.advertised();
  window.accept(fragment(2, 0));
});

Deno.test("ReceiveWindow.accept() throws when a message exceeds the limit", () => {
  const window = new ReceiveWindow(5000, 100_000);
  window.accept(fragment(1, 3000, true));
  assert.throws(
    () => window.accept(fragment(2, 2001)),
    protocol(/exceeds the limit of 5000 bytes/),
  );
  window.accept(fragment(2, 2000));
});

Deno.test("ReceiveWindow.accept() throws when a fragment is short and not the last", () => {
  const window = new ReceiveWindow(10_000, 100_000);
  assert.throws(
    () => window.accept(fragment(1, 0, true)),
    protocol(/has 0 bytes and is not the last/),
  );
  assert.throws(() => window.accept(fragment(1, 1023, true)), protocol(/1023 bytes and is not/));
  window.accept(fragment(1, 1024, true));
});

Deno.test("ReceiveWindow grants its window beyond what it holds, and frees what is taken", () => {
  const window = new ReceiveWindow(10_000, 3072);
  assert.equal(window.credit, 10_000 + MIB);
  window.advertised();
  window.accept(fragment(1, 1000));
  assert.equal(window.bufferedBytes, 1256);
  assert.equal(window.credit, 10_000 + MIB - 1256);
  window.take();
  assert.equal(window.credit, 10_000 + MIB);
});

Deno.test("ReceiveWindow has nothing to say when all was said, and hurries when the sender is short", () => {
  const window = new ReceiveWindow(MIB, 3072);
  assert.equal(window.ackPending, false);
  assert.equal(window.ackUrgent, true); // 3 KiB is short
  window.advertised();
  assert.equal(window.ackUrgent, false);
  window.accept(fragment(1, 1000));
  assert.equal(window.ackPending, true);
  assert.equal(window.ackUrgent, false); // at leisure
  for (let seq = 2; seq <= 5; seq++) window.accept(fragment(seq, 65_000));
  assert.equal(window.ackUrgent, true); // 256 KiB since the last word
  window.advertised();
  assert.deepEqual([window.ackPending, window.ackUrgent], [false, false]);
});

Deno.test("ReceiveWindow grants one more fragment when an incomplete message is all it holds", () => {
  const maxMessage = 64 * MIB;
  const window = new ReceiveWindow(maxMessage, 3072);
  // The shortest fragments there may be cost a quarter more than the window has.
  let seq = 0;
  for (let bytes = 0; bytes + 1024 < maxMessage; bytes += 1024) {
    window.advertised();
    window.accept(fragment(++seq, 1024, true));
  }
  assert.ok(window.bufferedBytes > windowBytes(maxMessage));
  assert.equal(window.credit, 65_497 + 256);
  window.accept(fragment(++seq, 1024));
  assert.equal(window.take()?.length, maxMessage);
  assert.equal(window.bufferedBytes, 0);
});

Deno.test("ReceiveWindow holds a bounded amount when the consumer takes nothing, however it is cut", () => {
  for (const seed of ["1", "2", "3", "4"]) {
    const random = new SeededRandom(`greedy/${seed}`);
    const maxMessage = 100_000;
    const window = new ReceiveWindow(maxMessage, 3072);
    let partial = 0;
    for (let seq = 1;; seq++) {
      window.advertised();
      // A sender that uses every byte it is granted, mostly to begin messages it need not finish.
      const room = window.credit - 256;
      if (room < 0) break;
      const most = Math.min(room, 65_497, maxMessage - partial);
      const more = most >= 1024 && random.chance(0.7);
      const length = more ? random.between(1024, most) : random.below(most + 1);
      window.accept(fragment(seq, length, more));
      partial = more ? partial + length : 0;
    }
    const bound = windowBytes(maxMessage) + 65_497 + 256;
    assert.ok(window.bufferedBytes <= bound, `seed ${seed}: ${window.bufferedBytes}`);
  }
});

/**
 * A sender and a receiver with a wire between them that loses everything now and then, against two
 * plain lists: what was sent and what arrived.
 */
class Model {
  readonly sender = new SendWindow(3072);
  readonly receiver: ReceiveWindow;
  readonly #random: SeededRandom;
  readonly #maxMessage: number;
  readonly #sent: Bytes[] = [];
  #taken = 0;
  #pushedBytes = 0;
  #freedBytes = 0;
  #wire: Fragment[] = [];
  #wireBack: { readonly ack: number; readonly credit: number }[] = [];

  constructor(seed: string, maxMessage: number) {
    this.#random = new SeededRandom(seed);
    this.#maxMessage = maxMessage;
    this.receiver = new ReceiveWindow(maxMessage, 3072);
  }

  step(): void {
    const actions = [
      () => this.push(),
      () => this.transmit(this.#random.below(8)),
      () => this.deliver(this.#random.below(8)),
      () => this.say(),
      () => this.hear(this.#random.below(4)),
      () => this.take(this.#random.below(4)),
    ];
    if (this.#random.chance(0.01)) this.reconnect();
    else this.#random.pick(actions)();
    this.check();
  }

  push(): void {
    const top = this.#random.pick([1, 100, 3_000, this.#maxMessage + 1]);
    const message = this.#random.bytes(this.#random.below(top));
    this.#sent.push(message);
    this.#pushedBytes += message.length;
    this.sender.push(message);
  }

  transmit(count: number): void {
    for (let i = 0; i < count; i++) {
      const next = this.sender.next();
      if (next === null) return;
      this.#wire.push(next);
    }
  }

  deliver(count: number): void {
    for (const next of this.#wire.splice(0, count)) this.receiver.accept(next);
    if (this.receiver.ackUrgent) this.say();
  }

  say(): void {
    const { ack, credit } = this.receiver;
    this.#wireBack.push({ ack, credit });
    this.receiver.advertised();
  }

  hear(count: number): void {
    for (const { ack, credit } of this.#wireBack.splice(0, count)) {
      this.#freedBytes += this.sender.acknowledge(ack, credit);
    }
  }

  take(count: number): void {
    for (let i = 0; i < count; i++) {
      const message = this.receiver.take();
      if (message === null) return;
      assert.ok(equalBytes(message, this.#sent[this.#taken++]!));
      if (this.receiver.ackUrgent) this.say();
    }
  }

  /** Everything on the wire is lost; the receiver names what it lacks, and grants anew. */
  reconnect(): void {
    this.#wire = [];
    this.#wireBack = [];
    this.#freedBytes += this.sender.rewind(this.receiver.ack + 1);
    this.say();
  }

  check(): void {
    assert.ok(this.receiver.bufferedBytes <= windowBytes(this.#maxMessage) + 65_497 + 256);
    assert.ok(this.receiver.credit < 2 ** 32);
    // What is held is at least what is not yet freed, and all of it once everything is acknowledged.
    assert.ok(this.sender.heldBytes >= this.#pushedBytes - this.#freedBytes);
    assert.equal(this.sender.heldBytes === 0, this.sender.allSent && !this.sender.awaitsAck);
  }

  /** Nobody loses anything any more and the consumer takes everything: all of it arrives. */
  finish(): void {
    for (let idle = 0; this.#taken < this.#sent.length || this.sender.heldBytes > 0; idle++) {
      assert.ok(idle < 100_000, "the two wait for each other");
      this.transmit(1000);
      this.deliver(1000);
      this.take(1000);
      if (this.receiver.ackPending) this.say();
      this.hear(1000);
      this.check();
    }
    assert.equal(this.#freedBytes, this.#pushedBytes);
    assert.equal(this.receiver.bufferedBytes, 0);
  }
}

for (const maxMessage of [3072, 20_000, 300_000]) {
  Deno.test(`SendWindow and ReceiveWindow lose, repeat and reorder nothing when messages have up to ${maxMessage} bytes`, () => {
    for (let seed = 0; seed < 5; seed++) {
      const model = new Model(`window/${maxMessage}/${seed}`, maxMessage);
      for (let step = 0; step < 1500; step++) model.step();
      model.finish();
    }
  });
}

Deno.test("ReceiveWindow.discard() drops what is held and what comes, and grants nothing more", () => {
  const window = new ReceiveWindow(10_000, 20_000);
  window.advertised();
  const granted = window.credit;
  window.accept({ seq: 1, more: false, bytes: new Uint8Array(1000) });
  window.accept({ seq: 2, more: true, bytes: new Uint8Array(2000) });
  window.discard();
  assert.deepEqual([window.bufferedBytes, window.take()], [0, null]);
  window.accept({ seq: 3, more: false, bytes: new Uint8Array(9000) });
  window.accept({ seq: 4, more: true, bytes: new Uint8Array(5000) });
  assert.deepEqual([window.bufferedBytes, window.take(), window.ack], [0, null, 4]);
  const cost = 1000 + 2000 + 9000 + 5000 + 4 * 256;
  assert.equal(window.credit, granted - cost);
  window.advertised();
  assert.equal(window.credit, granted - cost);
  assert.equal(window.ackUrgent, false);
});

Deno.test("ReceiveWindow buffers no more than it is told, whatever a message may have", () => {
  const window = new ReceiveWindow(3072, 3072, 3072);
  assert.equal(window.credit, 3072);
  window.accept({ seq: 1, more: false, bytes: new Uint8Array(1000) });
  window.advertised();
  assert.equal(window.credit, 3072 - 1256);
  window.take();
  assert.equal(window.credit, 3072);
});
