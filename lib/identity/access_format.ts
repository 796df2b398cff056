/**
 * The text of `access.json`, made to be read and edited by people: indented JSON.
 *
 *     {"version":1,
 *      "grants":[{"peer","service","origin","granted_at","expires"}],
 *      "revocations":[{"peer","service","revoked_at"}]}
 *
 * `service` is in its wire form or `*`; times are RFC 3339; `expires` may be null. Pure. Reading is
 * strict, since whatever is misread here is a permission: every field exactly once, no other, one entry
 * per (peer, service). Only the order of fields and white space are free.
 */

import { utf8 } from "../bytes.ts";
import { MAX_NAME_BYTES } from "../limits.ts";
import {
  type Access,
  ALL_SERVICES,
  type Grant,
  type Revocation,
  type ServicePattern,
} from "./access.ts";
import { IdentityError } from "./errors.ts";
import { quotedPath } from "./file_permissions.ts";
import {
  arrayField,
  fieldsOf,
  integerField,
  parsedField,
  timeField,
  timeText,
} from "./json_fields.ts";
import { parseServiceName } from "./names.ts";
import { parsePeerId, type PeerId } from "./peer_id.ts";
import { type Json, JsonError, parseJson } from "./strict_json.ts";

const VERSION = 1;

const ACCESS_FIELDS = ["version", "grants", "revocations"];
const GRANT_FIELDS = ["peer", "service", "origin", "granted_at", "expires"];
const REVOCATION_FIELDS = ["peer", "service", "revoked_at"];

/** Returns the text of an access file. */
export function serialiseAccess(access: Access): string {
  return JSON.stringify(
    {
      version: VERSION,
      grants: access.grants.map(grantFields),
      revocations: access.revocations.map(({ peer, service, revokedAt }) => ({
        peer,
        service,
        revoked_at: timeText(revokedAt),
      })),
    },
    null,
    2,
  ) + "\n";
}

/**
 * Returns what an access file says. Throws IdentityError "access_corrupted".
 *
 * @param path Where the text was read, for errors.
 */
export function parseAccess(text: string, path?: string): Access {
  try {
    const fields = fieldsOf(parseJson(text), "", ACCESS_FIELDS);
    integerField(fields, "version", VERSION, VERSION);
    const grants = arrayField(fields, "grants").map(grantOf);
    const revocations = arrayField(fields, "revocations").map(revocationOf);
    requireSingle("grants", grants);
    requireSingle("revocations", revocations);
    return { grants, revocations };
  } catch (error) {
    if (!(error instanceof JsonError)) throw error;
    throw corruptedAccess(error.message, path);
  }
}

/** Returns the error for an access file in a certain state. */
export function corruptedAccess(state: string, path = "access.json"): IdentityError {
  return new IdentityError("access_corrupted", `Cannot read ${path}: ${state}`, {
    hints: [
      "correct the file, or restore it from your backup",
      `or begin anew, with nobody granted and nobody revoked anything: mv ${quotedPath(path)} ${
        quotedPath(`${path}.broken`)
      }`,
    ],
  });
}

/** A grant as the file has it. */
function grantFields({ peer, service, origin, grantedAt, expires }: Grant) {
  return {
    peer,
    service,
    origin,
    granted_at: timeText(grantedAt),
    expires: expires === null ? null : timeText(expires),
  };
}

function grantOf(json: Json, index: number): Grant {
  const fields = fieldsOf(json, `grants[${index}]`, GRANT_FIELDS);
  return {
    peer: parsedField(fields, "peer", parsePeerId),
    service: parsedField(fields, "service", servicePattern),
    origin: parsedField(fields, "origin", parseOrigin),
    grantedAt: timeField(fields, "granted_at"),
    expires: fields.object["expires"] === null ? null : timeField(fields, "expires"),
  };
}

function revocationOf(json: Json, index: number): Revocation {
  const fields = fieldsOf(json, `revocations[${index}]`, REVOCATION_FIELDS);
  return {
    peer: parsedField(fields, "peer", parsePeerId),
    service: parsedField(fields, "service", servicePattern),
    revokedAt: timeField(fields, "revoked_at"),
  };
}

function servicePattern(text: string): ServicePattern {
  return text === ALL_SERVICES ? ALL_SERVICES : parseServiceName(text);
}

function parseOrigin(text: string): string {
  const length = utf8(text).length;
  if (length < 1 || length > MAX_NAME_BYTES || /[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]/u.test(text)) {
    throw new JsonError(`it is not 1 to ${MAX_NAME_BYTES} bytes of printable text`);
  }
  return text;
}

/** Two grants for one thing contradict each other in origin or end: nobody guesses which is meant. */
function requireSingle(
  list: string,
  rules: readonly { readonly peer: PeerId; readonly service: ServicePattern }[],
): void {
  const first = new Map<string, number>();
  rules.forEach(({ peer, service }, index) => {
    const before = first.get(`${peer} ${service}`);
    if (before !== undefined) {
      throw new JsonError(`${list}[${index}] has the peer and service of ${list}[${before}]`);
    }
    first.set(`${peer} ${service}`, index);
  });
}
