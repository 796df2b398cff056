/**
 * The text of a policy file. Its JSON Schema is docs/policy.schema.json.
 *
 *     {"version":1,
 *      "rules":[{"name","peer","service","tools":{"allow":[…],"deny":[…],"ask":[…]},"resources","prompts",
 *                "methods","arguments":{TOOL:{POINTER:{…}}},"read_only","limits":{…},"expires"}]}
 *
 * Pure. Reading is strict, since whatever is misread here is a permission: an unknown or mistyped member is
 * an error that says in which line and column. Only `peer` has to be there; `$schema` is for editors.
 */

import { IdentityError } from "../../identity/errors.ts";
import { parsePetname, parseTypedService } from "../../identity/names.ts";
import { parsePeerId, PEER_ID_START } from "../../identity/peer_id.ts";
import { quotedPath } from "../../identity/file_permissions.ts";
import { timeOf } from "../../identity/json_fields.ts";
import {
  isJsonArray,
  isJsonObject,
  type Json,
  JsonError,
  type JsonObject,
  parsePlacedJson,
  type PlacedJson,
} from "../../identity/strict_json.ts";
import { DAY_MS, MAX_PENDING_CALLS, MAX_POLICY_GLOBS, MAX_POLICY_RULES } from "../../limits.ts";
import { printable } from "../../log.ts";
import { McpError } from "../errors.ts";
import { type ArgumentRule, type Constraint, parsePointer } from "./argument_rules.ts";
import { type Glob, globOf } from "./glob.ts";
import {
  contactKey,
  type Limits,
  NO_SELECTION,
  type PeerPattern,
  type Policy,
  type PolicyRule,
  type Selection,
} from "./policy.ts";

const VERSION = 1;
const POLICY_FIELDS = ["$schema", "version", "rules"];
const RULE_FIELDS = ["name", "peer", "service", "tools", "resources", "prompts", "methods"]
  .concat(["arguments", "read_only", "limits", "expires"]);
const SELECTION_FIELDS = ["allow", "deny", "ask"];
const CONSTRAINT_FIELDS = ["optional", "values", "globs", "prefix", "max_length", "min", "max"];
const LIMIT_FIELDS = [
  "requests_per_minute",
  "concurrent_calls",
  "bytes_per_day",
  "seconds_per_call",
];

/** The most that the limits of a policy may say. */
export const MAX_LIMITS = {
  requests_per_minute: 1_000_000,
  concurrent_calls: MAX_PENDING_CALLS,
  bytes_per_day: Number.MAX_SAFE_INTEGER,
  seconds_per_call: DAY_MS / 1000,
} as const;

const MAX_QUOTED_CHARACTERS = 40;
const MAX_LABEL_CHARACTERS = 64;

/**
 * Returns the policy that `text` is. Throws McpError "policy_invalid".
 *
 * @param path Where the text was read, for errors.
 */
export function parsePolicy(text: string, path = "the policy"): Policy {
  try {
    return new PolicyReader(parsePlacedJson(text)).policy();
  } catch (error) {
    if (error instanceof JsonError) throw invalidPolicy(error.message, path);
    throw error;
  }
}

/** Returns the error for a policy file in a certain state. */
export function invalidPolicy(state: string, path: string, cause?: unknown): McpError {
  return new McpError("policy_invalid", `Cannot use ${path}: ${state}`, {
    cause,
    hints: [`correct it, and look at it again: talos policy check ${quotedPath(path)}`],
  });
}

/** A value of the file: the member `key` of `container`. */
interface Place {
  readonly container: JsonObject | readonly Json[];
  readonly key: string | number;
  readonly value: Json;
  /** Its name, for people. */
  readonly name: string;
}

class PolicyReader {
  readonly #json: PlacedJson;

  constructor(json: PlacedJson) {
    this.#json = json;
  }

  policy(): Policy {
    const { value } = this.#json;
    if (!isJsonObject(value)) throw this.#json.errorAt("the policy is not an object");
    this.#requireKnown(value, "", POLICY_FIELDS);
    if (this.#integer(this.#required(value, null, "version"), VERSION, VERSION) !== VERSION) {
      throw new TypeError("unreachable");
    }
    const rules = this.#required(value, null, "rules");
    const elements = this.#elements(rules, MAX_POLICY_RULES);
    const labels = new Map<string, Place>();
    return {
      rules: elements.map((element) => {
        const rule = this.#rule(element);
        if (labels.has(rule.label)) {
          const place = this.#member(this.#object(element), element.name, "name") ?? element;
          throw this.#error(place, "is the name of another rule, too");
        }
        labels.set(rule.label, element);
        return rule;
      }),
    };
  }

  #rule(place: Place): PolicyRule {
    const object = this.#object(place, RULE_FIELDS);
    const member = (key: string) => this.#member(object, place.name, key);
    const [name, service] = [member("name"), member("service")];
    const [expires, readOnly] = [member("expires"), member("read_only")];
    return {
      label: name === null ? place.name : this.#label(name),
      peer: this.#peer(this.#required(object, place, "peer")),
      service: service === null ? "*" : this.#service(service),
      selections: {
        tools: this.#selection(member("tools")),
        resources: this.#selection(member("resources")),
        prompts: this.#selection(member("prompts")),
        methods: this.#selection(member("methods")),
      },
      arguments: this.#argumentRules(member("arguments")),
      readOnly: readOnly === null ? false : this.#boolean(readOnly),
      limits: this.#limits(member("limits")),
      expires: expires === null ? null : this.#time(expires),
    };
  }

  #label(place: Place): string {
    const text = this.#text(place);
    const isPlain = /^[\p{L}\p{N}][\p{L}\p{N} ._-]*$/u.test(text);
    if (!isPlain || text.length > MAX_LABEL_CHARACTERS || text === "default") {
      throw this.#error(
        place,
        `is not 1 to ${MAX_LABEL_CHARACTERS} letters, digits, spaces, dots, underscores and hyphens, or it is "default"`,
      );
    }
    return text;
  }

  #peer(place: Place): PeerPattern {
    const text = this.#text(place);
    if (text === "*") return { kind: "anybody" };
    return this.#parsed(
      place,
      () =>
        text.startsWith(PEER_ID_START) || text.startsWith("did:")
          ? { kind: "id", id: parsePeerId(text) }
          : { kind: "contact", name: contactKey(parsePetname(text)) },
    );
  }

  #service(place: Place): string {
    const text = this.#text(place);
    return text === "*" ? "*" : this.#parsed(place, () => parseTypedService(text));
  }

  #selection(place: Place | null): Selection {
    if (place === null) return NO_SELECTION;
    const object = this.#object(place, SELECTION_FIELDS);
    const globs = (key: string) => {
      const list = this.#member(object, place.name, key);
      return list === null ? [] : this.#globs(list);
    };
    return { allow: globs("allow"), deny: globs("deny"), ask: globs("ask") };
  }

  #globs(place: Place): readonly Glob[] {
    return this.#elements(place, MAX_POLICY_GLOBS).map((element) => this.#glob(element));
  }

  #glob(place: Place): Glob {
    const text = this.#text(place);
    if (text === "") throw this.#error(place, "is empty");
    return globOf(text);
  }

  #argumentRules(place: Place | null): readonly ArgumentRule[] {
    if (place === null) return [];
    return this.#members(place, MAX_POLICY_GLOBS).flatMap((tool) => {
      if (tool.key === "") throw this.#error(tool, "is empty");
      const glob = globOf(String(tool.key));
      return this.#members(tool, MAX_POLICY_GLOBS).map((argument) => {
        const pointer = String(argument.key);
        const steps = parsePointer(pointer);
        if (steps === null) {
          throw this.#error(argument, 'is named by no place like "/path" or "/items/*/id"');
        }
        return { tool: glob, pointer, steps, constraint: this.#constraint(argument) };
      });
    });
  }

  #constraint(place: Place): Constraint {
    const object = this.#object(place, CONSTRAINT_FIELDS);
    const member = (key: string) => this.#member(object, place.name, key);
    const optional = member("optional");
    const [values, globs, prefix, maxLength, min, max] = CONSTRAINT_FIELDS.slice(1).map(member);
    const given = <K extends keyof Constraint>(
      key: K,
      of: Place | null | undefined,
      read: (place: Place) => Constraint[K],
    ) => of === null || of === undefined ? {} : { [key]: read(of) };
    const constraint: Constraint = {
      optional: optional === null ? false : this.#boolean(optional),
      ...given(
        "values",
        values,
        (list) => this.#elements(list, MAX_POLICY_GLOBS, 1).map((one) => this.#scalar(one)),
      ),
      ...given(
        "globs",
        globs,
        (list) => this.#elements(list, MAX_POLICY_GLOBS, 1).map((one) => this.#glob(one)),
      ),
      ...given("prefix", prefix, (one) => this.#text(one)),
      ...given("maxLength", maxLength, (one) => this.#integer(one, 0, Number.MAX_SAFE_INTEGER)),
      ...given("min", min, (one) => this.#number(one)),
      ...given("max", max, (one) => this.#number(one)),
    };
    if (Object.keys(object).every((key) => key === "optional")) {
      throw this.#error(place, "says nothing");
    }
    return constraint;
  }

  #limits(place: Place | null): Limits {
    if (place === null) return {};
    const object = this.#object(place, LIMIT_FIELDS);
    const limit = (key: keyof typeof MAX_LIMITS) => {
      const value = this.#member(object, place.name, key);
      return value === null ? undefined : this.#integer(value, 1, MAX_LIMITS[key]);
    };
    const [requestsPerMinute, concurrentCalls] = [
      limit("requests_per_minute"),
      limit("concurrent_calls"),
    ];
    const [bytesPerDay, secondsPerCall] = [limit("bytes_per_day"), limit("seconds_per_call")];
    return {
      ...(requestsPerMinute === undefined ? {} : { requestsPerMinute }),
      ...(concurrentCalls === undefined ? {} : { concurrentCalls }),
      ...(bytesPerDay === undefined ? {} : { bytesPerDay }),
      ...(secondsPerCall === undefined ? {} : { secondsPerCall }),
    };
  }

  #scalar(place: Place): string | number | boolean | null {
    const { value } = place;
    if (typeof value === "number") return this.#number(place);
    if (value === null || typeof value === "string" || typeof value === "boolean") return value;
    throw this.#error(place, "is neither text nor a number nor true, false or null");
  }

  #text(place: Place): string {
    if (typeof place.value !== "string") throw this.#error(place, "is not a string");
    return place.value;
  }

  #boolean(place: Place): boolean {
    if (typeof place.value !== "boolean") throw this.#error(place, "is neither true nor false");
    return place.value;
  }

  /** A number that was read as it stands: what rounds could permit what nobody wrote. */
  #number(place: Place): number {
    const { value } = place;
    if (typeof value !== "number") throw this.#error(place, "is not a number");
    if (Math.abs(value) > Number.MAX_SAFE_INTEGER) {
      throw this.#error(place, `is beyond ${Number.MAX_SAFE_INTEGER}, where numbers are rounded`);
    }
    return value;
  }

  #integer(place: Place, min: number, max: number): number {
    const { value } = place;
    if (typeof value !== "number" || !Number.isInteger(value) || value < min || value > max) {
      throw this.#error(
        place,
        min === max ? `is not ${min}` : `is not an integer from ${min} to ${max}`,
      );
    }
    return value;
  }

  #time(place: Place): number {
    const time = timeOf(this.#text(place));
    if (time === null) throw this.#error(place, "is not a time like 2026-01-31T12:00:00Z");
    return time;
  }

  #parsed<T>(place: Place, parse: () => T): T {
    try {
      return parse();
    } catch (error) {
      if (!(error instanceof IdentityError)) throw error;
      throw this.#error(place, `is refused: ${error.message}`);
    }
  }

  #object(place: Place, known?: readonly string[]): JsonObject {
    if (!isJsonObject(place.value)) throw this.#error(place, "is not an object");
    if (known !== undefined) this.#requireKnown(place.value, place.name, known);
    return place.value;
  }

  #requireKnown(object: JsonObject, name: string, known: readonly string[]): void {
    for (const key of Object.keys(object)) {
      if (known.includes(key)) continue;
      const shown = printable(key, MAX_QUOTED_CHARACTERS);
      throw this.#json.errorAt(`the field ${dotted(name, shown)} is unknown`, object, key);
    }
  }

  /** Returns the member `key` of an object that is the whole text, or stands at `place`. */
  #required(object: JsonObject, place: Place | null, key: string): Place {
    const name = place?.name ?? "";
    const member = this.#member(object, name, key);
    if (member !== null) return member;
    const state = `the field ${dotted(name, key)} is missing`;
    throw this.#json.errorAt(state, place?.container, place?.key);
  }

  #member(object: JsonObject, name: string, key: string): Place | null {
    const value = object[key];
    if (value === undefined) return null;
    return { container: object, key, value, name: dotted(name, key) };
  }

  #members(place: Place, limit: number): readonly Place[] {
    const object = this.#object(place);
    const members = Object.entries(object).map(([key, value]) => ({
      container: object,
      key,
      value,
      name: `${place.name}[${JSON.stringify(printable(key, MAX_QUOTED_CHARACTERS))}]`,
    }));
    if (members.length > limit) {
      throw this.#error(place, `has ${members.length} members, the limit is ${limit}`);
    }
    return members;
  }

  #elements(place: Place, limit: number, least = 0): readonly Place[] {
    const { value: list, name } = place;
    if (!isJsonArray(list)) throw this.#error(place, "is not an array");
    if (list.length > limit || list.length < least) {
      throw this.#error(place, `has ${list.length} elements, it may have ${least} to ${limit}`);
    }
    return list.map((value, key) => ({ container: list, key, value, name: `${name}[${key}]` }));
  }

  #error({ container, key, name }: Place, state: string): JsonError {
    return this.#json.errorAt(`the field ${name} ${state}`, container, key);
  }
}

function dotted(name: string, key: string): string {
  return name === "" ? key : `${name}.${key}`;
}
