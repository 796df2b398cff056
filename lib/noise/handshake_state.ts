/**
 * HandshakeState (Noise revision 34 §5.3, with the hfs extension): one side of a handshake.
 *
 * Pure: ephemeral keys, KEM seeds and randomness are given by the caller, who must never give any of
 * them twice. What a role needs is checked when it is made, and what it has no use for is refused. A
 * call out of turn changes nothing; after any other failure the handshake is dead, its secrets are
 * overwritten and every further call throws. That a message was accepted says who sent it only as far
 * as the pattern's security properties (§7.7) reach at that message.
 */

import { type Bytes, concat } from "../bytes.ts";
import { type CipherState, requireMessageLength } from "./cipher_state.ts";
import { NoiseError } from "./errors.ts";
import {
  type HandshakeOptions,
  present,
  protocolName,
  requireKem,
  requireKeys,
} from "./handshake_options.ts";
import type { HandshakePattern, Role, Token } from "./patterns.ts";
import type { DhKeyPair, KemKeyPair, NoiseSuite } from "./suite.ts";
import { SymmetricState } from "./symmetric_state.ts";

/** What a finished handshake yields. */
export interface Transport {
  /** Encrypts what this side sends. */
  readonly send: CipherState;
  /** Decrypts what the other side sends. */
  readonly receive: CipherState;
  /** The final h, which is the same on both sides and unique to this session (§11.2). */
  readonly handshakeHash: Bytes;
}

/** One side of a handshake. */
export class HandshakeState {
  readonly #pattern: HandshakePattern;
  readonly #suite: NoiseSuite;
  readonly #role: Role;
  readonly #pskMode: boolean;
  readonly #symmetric: SymmetricState;
  readonly #s: DhKeyPair | undefined;
  readonly #e: DhKeyPair | undefined;
  readonly #psks: Bytes[];
  readonly #kemSeed: Bytes | undefined;
  readonly #kemRandom: Bytes | undefined;
  #rs: Bytes | undefined;
  #re: Bytes | undefined;
  #e1: KemKeyPair | undefined;
  #re1: Bytes | undefined;
  #next = 0;
  #state: "handshaking" | "finished" | "split" | "dead" = "handshaking";
  #hashBeforePayload: Bytes | undefined;

  /**
   * Initialize(handshake_pattern, initiator, prologue, s, e, rs, re).
   *
   * Throws NoiseError "missing_key", "unexpected_key" or "bad_length" when what is given is not
   * exactly what the role needs.
   */
  constructor(options: HandshakeOptions) {
    requireKeys(options);
    this.#pattern = options.pattern;
    this.#suite = options.suite;
    this.#role = options.role;
    this.#s = options.s;
    this.#e = options.e;
    this.#rs = options.rs?.slice();
    this.#psks = options.psks?.map((psk) => psk.slice()) ?? [];
    this.#kemSeed = options.kemSeed?.slice();
    this.#kemRandom = options.kemRandom?.slice();
    this.#pskMode = this.#psks.length > 0;
    this.#symmetric = new SymmetricState(
      options.suite,
      protocolName(options.pattern, options.suite),
    );
    this.#symmetric.mixHash(options.prologue);
    for (const { from } of options.pattern.preMessages) {
      const key = from === this.#role ? this.#s?.publicKey : this.#rs;
      this.#symmetric.mixHash(present("a pre-message key", key));
    }
  }

  /** Whether all messages of the pattern went through. */
  get finished(): boolean {
    return this.#state === "finished" || this.#state === "split";
  }

  /** The remote's static public key, once known. Whether it is authentic depends on the pattern. */
  get remoteStatic(): Bytes | undefined {
    return this.#rs?.slice();
  }

  /** The remote's ephemeral public key, once read. */
  get remoteEphemeral(): Bytes | undefined {
    return this.#re?.slice();
  }

  /** The current h. */
  get handshakeHash(): Bytes {
    return this.#symmetric.handshakeHash;
  }

  /**
   * h as it was in the last message after its tokens and before its payload: what a signature inside
   * that payload can cover. Undefined before the first message.
   */
  get hashBeforePayload(): Bytes | undefined {
    return this.#hashBeforePayload?.slice();
  }

  /**
   * WriteMessage(payload): returns the next message.
   *
   * `payload` may be a function: it gets h after the message's tokens and returns the payload. Throws
   * NoiseError "out_of_turn" (and changes nothing), "dead", "message_too_long", "bad_remote_key", and
   * whatever `payload` throws.
   */
  writeMessage(payload: Bytes | ((handshakeHash: Bytes) => Bytes)): Bytes {
    const tokens = this.#begin("write");
    return this.#orDie(() => {
      const parts: Bytes[] = [];
      for (const token of tokens) this.#writeToken(token, parts);
      this.#hashBeforePayload = this.#symmetric.handshakeHash;
      const bytes = typeof payload === "function" ? payload(this.handshakeHash) : payload;
      parts.push(this.#symmetric.encryptAndHash(bytes));
      const message = concat(...parts);
      requireMessageLength(message.length);
      this.#advance();
      return message;
    });
  }

  /**
   * ReadMessage(message): returns the payload, in memory of its own.
   *
   * Throws NoiseError "out_of_turn" (and changes nothing), "dead", "message_too_short",
   * "message_too_long", "decrypt_failed", "bad_remote_key".
   */
  readMessage(message: Bytes): Bytes {
    const tokens = this.#begin("read");
    return this.#orDie(() => {
      requireMessageLength(message.length);
      const fields = new FieldReader(message);
      for (const token of tokens) this.#readToken(token, fields);
      this.#hashBeforePayload = this.#symmetric.handshakeHash;
      const payload = this.#symmetric.decryptAndHash(fields.rest());
      this.#advance();
      return payload;
    });
  }

  /**
   * Split(): returns the two cipher states, once. Throws NoiseError "out_of_turn" before the last
   * message and the second time, "dead".
   *
   * After a one-way pattern (§7.4) the initiator must only send and the responder only receive.
   */
  split(): Transport {
    if (this.#state !== "finished") throw this.#notNow("split");
    const handshakeHash = this.#symmetric.handshakeHash;
    const [fromInitiator, fromResponder] = this.#symmetric.split();
    this.#state = "split";
    return this.#role === "initiator"
      ? { send: fromInitiator, receive: fromResponder, handshakeHash }
      : { send: fromResponder, receive: fromInitiator, handshakeHash };
  }

  /** Ends the handshake: its secrets are overwritten and every further call throws. */
  destroy(): void {
    if (this.#state !== "split") this.#state = "dead";
    this.#symmetric.destroy();
    for (const psk of this.#psks) psk.fill(0);
    this.#kemSeed?.fill(0);
    this.#kemRandom?.fill(0);
    this.#e1 = undefined;
  }

  #writeToken(token: Token, parts: Bytes[]): void {
    switch (token) {
      // "e": e = GENERATE_KEYPAIR() (here: given). Appends e.public_key. MixHash(e.public_key).
      // In psk handshakes also MixKey(e.public_key) (§9.2).
      case "e": {
        const { publicKey } = present("e", this.#e);
        parts.push(publicKey);
        this.#mixEphemeral(publicKey);
        return;
      }
      // "s": appends EncryptAndHash(s.public_key).
      case "s":
        parts.push(this.#symmetric.encryptAndHash(present("s", this.#s).publicKey));
        return;
      // "e1": appends EncryptAndHash(e1.public_key), the KEM's encapsulation key.
      case "e1": {
        const seed = present("kemSeed", this.#kemSeed);
        this.#e1 = requireKem(this.#suite).keyPair(seed);
        seed.fill(0);
        parts.push(this.#symmetric.encryptAndHash(this.#e1.publicKey));
        return;
      }
      // "ekem1": appends EncryptAndHash(ciphertext of an encapsulation to re1), then MixKey(secret).
      case "ekem1": {
        const kem = requireKem(this.#suite);
        const random = present("kemRandom", this.#kemRandom);
        const { ciphertext, sharedSecret } = remoteKey(
          "e1",
          () => kem.encapsulate(present("re1", this.#re1), random),
        );
        random.fill(0);
        parts.push(this.#symmetric.encryptAndHash(ciphertext));
        this.#mixSecret(sharedSecret);
        return;
      }
      default:
        this.#mixToken(token);
    }
  }

  #readToken(token: Token, fields: FieldReader): void {
    const { dh } = this.#suite;
    switch (token) {
      // "e": re = the next DHLEN bytes. MixHash(re.public_key); in psk handshakes also MixKey.
      case "e":
        this.#re = fields.take("e", dh.publicKeyBytes).slice();
        this.#mixEphemeral(this.#re);
        return;
      // "s": rs = DecryptAndHash(the next DHLEN bytes, or DLEN + 16 if there is a key).
      case "s":
        this.#rs = this.#readField("s", dh.publicKeyBytes, fields);
        return;
      // "e1": re1 = DecryptAndHash(the remote's encapsulation key).
      case "e1":
        this.#re1 = this.#readField("e1", requireKem(this.#suite).publicKeyBytes, fields);
        return;
      // "ekem1": MixKey(the shared secret in DecryptAndHash(ciphertext)).
      case "ekem1": {
        const length = requireKem(this.#suite).ciphertextBytes;
        const ciphertext = this.#readField("ekem1", length, fields);
        this.#mixSecret(present("e1", this.#e1).decapsulate(ciphertext));
        this.#e1 = undefined;
        return;
      }
      default:
        this.#mixToken(token);
    }
  }

  /** The tokens that send nothing are the same for writer and reader. */
  #mixToken(token: Exclude<Token, "e" | "s" | "e1" | "ekem1">): void {
    const initiator = this.#role === "initiator";
    switch (token) {
      // "ee": MixKey(DH(e, re)).
      case "ee":
        return this.#mixDh(this.#e, this.#re);
      // "es": MixKey(DH(e, rs)) if initiator, MixKey(DH(s, re)) if responder.
      case "es":
        return initiator ? this.#mixDh(this.#e, this.#rs) : this.#mixDh(this.#s, this.#re);
      // "se": MixKey(DH(s, re)) if initiator, MixKey(DH(e, rs)) if responder.
      case "se":
        return initiator ? this.#mixDh(this.#s, this.#re) : this.#mixDh(this.#e, this.#rs);
      // "ss": MixKey(DH(s, rs)).
      case "ss":
        return this.#mixDh(this.#s, this.#rs);
      // "psk": MixKeyAndHash(psk).
      case "psk": {
        const psk = present("psk", this.#psks.shift());
        this.#symmetric.mixKeyAndHash(psk);
        psk.fill(0);
        return;
      }
      default:
        token satisfies never;
    }
  }

  #readField(name: string, length: number, fields: FieldReader): Bytes {
    const field = fields.take(name, this.#symmetric.sealedLength(length));
    return this.#symmetric.decryptAndHash(field);
  }

  #mixEphemeral(publicKey: Bytes): void {
    this.#symmetric.mixHash(publicKey);
    if (this.#pskMode) this.#symmetric.mixKey(publicKey);
  }

  #mixDh(own: DhKeyPair | undefined, remote: Bytes | undefined): void {
    const keyPair = present("own key", own);
    const publicKey = present("remote key", remote);
    this.#mixSecret(remoteKey("Diffie-Hellman", () => keyPair.diffieHellman(publicKey)));
  }

  #mixSecret(secret: Bytes): void {
    this.#symmetric.mixKey(secret);
    secret.fill(0);
  }

  /** Returns the tokens of the next message, if it is this side's turn to write or read it. */
  #begin(action: "write" | "read"): readonly Token[] {
    const line = this.#pattern.messages[this.#next];
    const mine = line?.from === this.#role ? "write" : "read";
    if (this.#state !== "handshaking" || line === undefined || mine !== action) {
      throw this.#notNow(action);
    }
    return line.tokens;
  }

  #notNow(action: string): NoiseError {
    const code = this.#state === "dead" ? "dead" : "out_of_turn";
    return new NoiseError(
      code,
      `Cannot ${action} as ${this.#role} of ${this.#pattern.name}: the state is ${this.#state}, message ${this.#next} of ${this.#pattern.messages.length} is next`,
    );
  }

  #advance(): void {
    this.#next++;
    if (this.#next === this.#pattern.messages.length) this.#state = "finished";
  }

  #orDie(step: () => Bytes): Bytes {
    try {
      return step();
    } catch (error) {
      this.destroy();
      throw error;
    }
  }
}

/** Takes the fields of a message one after the other. */
class FieldReader {
  readonly #message: Bytes;
  #at = 0;

  constructor(message: Bytes) {
    this.#message = message;
  }

  take(name: string, length: number): Bytes {
    const left = this.#message.length - this.#at;
    if (left < length) {
      throw new NoiseError(
        "message_too_short",
        `Cannot read a handshake message: ${left} bytes are left, field ${name} has ${length}`,
      );
    }
    this.#at += length;
    return this.#message.subarray(this.#at - length, this.#at);
  }

  rest(): Bytes {
    return this.#message.subarray(this.#at);
  }
}

/** Runs what fails only for an unusable key of the remote. */
function remoteKey<Result>(name: string, step: () => Result): Result {
  try {
    return step();
  } catch (cause) {
    throw new NoiseError(
      "bad_remote_key",
      `Cannot go on with the handshake: the remote's key for ${name} is not usable`,
      { cause },
    );
  }
}
