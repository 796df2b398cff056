/**
 * The error of the wire layer: bytes from a remote, or a value of our own, that do not fit the format.
 *
 * Its codes are grouped by the file that raises them. Whoever catches one from the network closes the
 * connection: nothing that failed to decode is ever used in part. What a remote chose (a key, a name)
 * appears in the text only printable and shortened; values of byte strings and texts never do.
 */
import { TalosError, type TalosErrorOptions } from "../errors.ts";

/** What `msgpack.ts` refuses. */
export type MsgPackErrorCode =
  /** The input ends early, or an announced length or count cannot fit in what remains. */
  | "msgpack_truncated"
  /** Bytes follow the one value. */
  | "msgpack_trailing_bytes"
  /** A longer form was used where a shorter one exists. */
  | "msgpack_not_shortest"
  /** A float, an extension, a timestamp, the reserved byte 0xc1, or a map key that is no string. */
  | "msgpack_unsupported_type"
  /** An integer beyond ±(2^53 − 1). */
  | "msgpack_integer_range"
  /** A string that is not UTF-8, or one of ours with a lone surrogate. */
  | "msgpack_invalid_utf8"
  /** A map with the same key twice. */
  | "msgpack_duplicate_key"
  /** Arrays and maps nested deeper than `MAX_MSGPACK_DEPTH`. */
  | "msgpack_too_deep"
  /** More values than the bound of this call. */
  | "msgpack_too_many_elements";

/** What `fields.ts` refuses. */
export type FieldErrorCode =
  /** A field that must be there is not. */
  | "field_missing"
  /** A field is there, with the wrong type, length or range. */
  | "field_invalid"
  /** A field that nobody asked for, where the message allows none. */
  | "field_unknown";

/** What `preface.ts` and `frames.ts` refuse. */
export type FrameErrorCode =
  /** A preface that is none, or an answer to one that is none. */
  | "preface_invalid"
  /** A frame of unknown type, of the wrong length, or with a number out of range. */
  | "frame_invalid"
  /** A frame beyond its limit. */
  | "frame_too_long";

/** What `endpoint_record.ts` refuses: a record that is not its peer's, or says what no record may say. */
export type RecordErrorCode = "record_invalid";

/** Every code of this layer. */
export type WireErrorCode = MsgPackErrorCode | FieldErrorCode | FrameErrorCode | RecordErrorCode;

/** Where in the input it happened. */
export interface WireErrorOptions extends TalosErrorOptions {
  /** The byte, from 0, at which the offending item begins. */
  readonly offset?: number;
  /** The field, as `OPEN.session_id` or `PEERS.peers[3].name`. */
  readonly path?: string;
}

/** Bytes or values that do not fit the wire format. */
export class WireError extends TalosError<WireErrorCode> {
  /** The byte, from 0, at which the offending item begins, where there is one. */
  readonly offset: number | undefined;
  /** The field, as `OPEN.session_id`, where there is one. */
  readonly path: string | undefined;

  /** Makes an error with its code, its sentence and the place. */
  constructor(code: WireErrorCode, message: string, options: WireErrorOptions = {}) {
    super(code, message, options);
    this.offset = options.offset;
    this.path = options.path;
  }
}
