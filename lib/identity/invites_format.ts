/**
 * The text of `invites.json`: indented JSON, as strict as `access.json`.
 *
 *     {"version":1,
 *      "invites":[{"id","key","service","name","uses","used_by":[peer],"created_at","expires","revoked_at"}]}
 *
 * `key` is base64url of 32 bytes, made from the ticket's secret by a hash: a ticket cannot be made again from it.
 * But who can read it can use a pending invite, so the file is as private as the wallet. `name` and
 * `revoked_at` may be null. Pure.
 */

import { base64url, type Bytes, fromBase64url } from "../bytes.ts";
import { MAX_INVITE_USES, MAX_INVITES } from "../limits.ts";
import { IdentityError } from "./errors.ts";
import { quotedPath } from "./file_permissions.ts";
import { type Invite, INVITE_KEY_BYTES, INVITE_NAME } from "./invites.ts";
import {
  arrayField,
  fieldsOf,
  integerField,
  parsedField,
  timeField,
  timeText,
} from "./json_fields.ts";
import { parsePetname, parseServiceName } from "./names.ts";
import { parsePeerId, type PeerId } from "./peer_id.ts";
import { type Json, JsonError, parseJson } from "./strict_json.ts";

const VERSION = 1;
const FILE_FIELDS = ["version", "invites"];
const INVITE_FIELDS = [
  "id",
  "key",
  "service",
  "name",
  "uses",
  "used_by",
  "created_at",
  "expires",
  "revoked_at",
];

/** Returns the text of a file of invites. */
export function serialiseInvites(invites: readonly Invite[]): string {
  return JSON.stringify({ version: VERSION, invites: invites.map(inviteFields) }, null, 2) + "\n";
}

/**
 * Returns what a file of invites says. Throws IdentityError "invites_corrupted".
 *
 * @param path Where the text was read, for errors.
 */
export function parseInvites(text: string, path?: string): readonly Invite[] {
  try {
    const fields = fieldsOf(parseJson(text), "", FILE_FIELDS);
    integerField(fields, "version", VERSION, VERSION);
    const invites = arrayField(fields, "invites");
    if (invites.length > MAX_INVITES) throw new JsonError(`there are ${invites.length} invites`);
    return invites.map(inviteOf);
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw corruptedInvites(error.message, path);
  }
}

/** Returns the error for a file of invites in a certain state. */
export function corruptedInvites(state: string, path = "invites.json"): IdentityError {
  return new IdentityError("invites_corrupted", `Cannot read ${path}: ${state}`, {
    hints: [
      "correct the file, or restore it from your backup",
      `or forget all tickets that were given out: mv ${quotedPath(path)} ${
        quotedPath(`${path}.broken`)
      }`,
    ],
  });
}

function inviteFields(invite: Invite) {
  const { id, key, service, petname, uses, usedBy, createdAt, expires, revokedAt } = invite;
  return {
    id,
    key: base64url(key),
    service,
    name: petname,
    uses,
    used_by: usedBy,
    created_at: timeText(createdAt),
    expires: timeText(expires),
    revoked_at: revokedAt === null ? null : timeText(revokedAt),
  };
}

function inviteOf(json: Json, index: number): Invite {
  const fields = fieldsOf(json, `invites[${index}]`, INVITE_FIELDS);
  const isNull = (name: string) => fields.object[name] === null;
  const uses = integerField(fields, "uses", 1, MAX_INVITE_USES);
  const usedBy = arrayField(fields, "used_by");
  if (usedBy.length > uses) throw new JsonError(`the field ${fields.path}used_by has too many`);
  return {
    id: parsedField(fields, "id", idOf),
    key: parsedField(fields, "key", keyOf),
    service: parsedField(fields, "service", parseServiceName),
    petname: isNull("name") ? null : parsedField(fields, "name", parsePetname),
    uses,
    usedBy: usedBy.map(peerOf),
    createdAt: timeField(fields, "created_at"),
    expires: timeField(fields, "expires"),
    revokedAt: isNull("revoked_at") ? null : timeField(fields, "revoked_at"),
  };
}

function idOf(text: string): string {
  if (INVITE_NAME.test(text)) return text;
  throw new JsonError("it is no invite's name");
}

function keyOf(text: string): Bytes {
  const key = fromBase64url(text);
  if (key.length === INVITE_KEY_BYTES) return key;
  throw new JsonError(`it has ${key.length} bytes, not ${INVITE_KEY_BYTES}`);
}

function peerOf(json: Json): PeerId {
  if (typeof json !== "string") throw new JsonError("one who used an invite is no string");
  try {
    return parsePeerId(json);
  } catch (cause) {
    throw new JsonError("one who used an invite is no Peer ID", { cause });
  }
}
