/**
 * Reads files of Noise test vectors.
 *
 * The format is that of cacophony and snow: `{"vectors": [{protocol_name, init_…, resp_…, messages}]}`,
 * all values in hexadecimal of either case. Its older and foreign forms are read as well: the protocol
 * name in `name` or spelt out in `pattern`, `dh`, `cipher`, `hash`; one `prologue` or `psk` for both
 * sides; vectors under other keys than `vectors`; the KEM inputs of our own file. Fields that nobody
 * knows are passed over. Whatever else is wrong is a {@link VectorFileError} that says where.
 */

import { type Bytes, EMPTY, fromHex } from "../../lib/bytes.ts";

/** A file that is not one of Noise vectors. */
export class VectorFileError extends Error {}

/** What a vector gives to one side. Keys are as the file has them: absent, superfluous or right. */
export interface VectorSide {
  readonly prologue: Bytes;
  /** The static secret key. */
  readonly s: Bytes | undefined;
  /** The ephemeral secret key. */
  readonly e: Bytes | undefined;
  /** The remote's static public key. */
  readonly rs: Bytes | undefined;
  readonly psks: readonly Bytes[];
}

/** One vector. */
export interface Vector {
  readonly protocolName: string;
  /** Whether the last message must be refused. */
  readonly fail: boolean;
  readonly initiator: VectorSide;
  readonly responder: VectorSide;
  readonly kemSeed: Bytes | undefined;
  readonly kemRandom: Bytes | undefined;
  readonly messages: readonly { readonly payload: Bytes; readonly ciphertext: Bytes }[];
  readonly handshakeHash: Bytes | undefined;
  /** The initiator's and the responder's sending key. */
  readonly keys: readonly (Bytes | undefined)[];
}

type Fields = Readonly<Record<string, unknown>>;

/** Returns the vectors of a file. Throws {@link VectorFileError}, also when there are none. */
export function parseVectorFile(text: string): Vector[] {
  let file: unknown;
  try {
    file = JSON.parse(text);
  } catch (error) {
    throw new VectorFileError(`not JSON: ${error instanceof Error ? error.message : error}`);
  }
  const lists = Array.isArray(file) ? { vectors: file } : isFields(file) ? file : {};
  const vectors: Vector[] = [];
  for (const [key, list] of Object.entries(lists)) {
    if (!Array.isArray(list)) {
      if (key === "vectors") throw new VectorFileError("vectors is not a list");
      continue;
    }
    list.forEach((entry: unknown, index) => {
      const isVector = isFields(entry) && "messages" in entry;
      if (isVector) vectors.push(parseVector(`${key}[${index}]`, entry));
      else if (key === "vectors") throw new VectorFileError(`vectors[${index}] has no messages`);
    });
  }
  if (vectors.length === 0) throw new VectorFileError("it holds no vectors");
  return vectors;
}

function parseVector(where: string, fields: Fields): Vector {
  const read = new FieldsReader(where, fields);
  const { messages } = fields;
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new VectorFileError(`${where}: messages is not a list with something in it`);
  }
  return {
    protocolName: protocolNameOf(where, fields),
    fail: fields.fail === true,
    initiator: side(read, "init"),
    responder: side(read, "resp"),
    kemSeed: read.hex("kem_keygen_seed"),
    kemRandom: read.hex("kem_encaps_m"),
    messages: messages.map((message: unknown, index) => {
      const at = `${where}.messages[${index}]`;
      if (!isFields(message)) throw new VectorFileError(`${at} is not an object`);
      const reader = new FieldsReader(at, message);
      if (!("ciphertext" in message)) throw new VectorFileError(`${at} has no ciphertext`);
      return {
        payload: reader.hex("payload") ?? EMPTY,
        ciphertext: reader.hex("ciphertext") ?? EMPTY,
      };
    }),
    handshakeHash: read.hex("handshake_hash"),
    keys: [read.hex("cs1_k"), read.hex("cs2_k")],
  };
}

function side(read: FieldsReader, prefix: "init" | "resp"): VectorSide {
  return {
    prologue: read.hex(`${prefix}_prologue`, "prologue") ?? EMPTY,
    s: read.hex(`${prefix}_static`),
    e: read.hex(`${prefix}_ephemeral`, `gen_${prefix}_ephemeral`),
    rs: read.hex(`${prefix}_remote_static`),
    psks: read.hexList(`${prefix}_psks`, `${prefix}_psk`, "psks", "psk", "preshared_key"),
  };
}

function protocolNameOf(where: string, fields: Fields): string {
  const { protocol_name, name, handshake, pattern, dh, cipher, hash } = fields;
  for (const whole of [protocol_name, name, handshake]) {
    if (typeof whole === "string" && whole.startsWith("Noise")) return whole;
  }
  if ([pattern, dh, cipher, hash].every((part) => typeof part === "string")) {
    return `Noise_${pattern}_${dh}_${cipher}_${hash}`;
  }
  throw new VectorFileError(`${where} has no protocol_name`);
}

/** Reads hexadecimal fields under the first of their names that is there; null and "" mean absent. */
class FieldsReader {
  readonly #where: string;
  readonly #fields: Fields;

  constructor(where: string, fields: Fields) {
    this.#where = where;
    this.#fields = fields;
  }

  hex(...names: readonly string[]): Bytes | undefined {
    const list = this.hexList(...names);
    if (list.length > 1) throw new VectorFileError(`${this.#where}: ${names[0]} is a list`);
    return list[0];
  }

  hexList(...names: readonly string[]): Bytes[] {
    const name = names.find((one) => ![undefined, null, ""].some((no) => no === this.#fields[one]));
    if (name === undefined) return [];
    const value = this.#fields[name];
    const texts: unknown[] = Array.isArray(value) ? value : [value];
    return texts.map((text) => {
      try {
        if (typeof text === "string") return fromHex(text);
      } catch {
        // Reported below, as for a value of another type.
      }
      throw new VectorFileError(`${this.#where}: ${name} is not hexadecimal`);
    });
  }
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
