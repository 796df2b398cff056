/**
 * Lines that scanLine() must refuse, by reason and with the offset that it must name, each beside lines
 * that look much the same and must pass.
 */

import { type Bytes, concat, fromHex, utf8 } from "../../lib/bytes.ts";
import type { Refusal } from "../../lib/mcp/refusals.ts";

/** The examples for one reason. */
export interface Examples {
  /** A line and the byte offset of what is wrong with it. */
  readonly refuses: readonly (readonly [line: string | Bytes, offset: number])[];
  /** Of these, the lines that are refused towards an agent too. */
  readonly agentRefuses?: readonly (string | Bytes)[];
  /** Lines that are accepted in both directions. */
  readonly accepts: readonly (string | Bytes)[];
}

/** Examples by reason. */
export type Corpus = Readonly<Partial<Record<Refusal, Examples>>>;

const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}';
/** A tool call whose `arguments` begin at byte 74. */
const call = (args: string) =>
  `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":${args}}}`;
const ARGUMENTS = call("").length - 2;
/** A request whose params begin at byte 43. */
const request = (params: string) => `{"jsonrpc":"2.0","id":1,"method":"x","params":${params}}`;
const PARAMS = request("").length - 1;
const withId = (id: string) => `{"jsonrpc":"2.0","method":"x","id":${id}}`;
const ID = withId("").length - 1;
const nested = (levels: number) => "[".repeat(levels) + "]".repeat(levels);
const raw = (...parts: (string | Bytes)[]) =>
  concat(...parts.map((part) => typeof part === "string" ? utf8(part) : part));

/** What is refused in both directions. */
export const MALFORMED: Corpus = {
  empty_line: { refuses: [["", 0], [" ", 0], ["\t  \t", 0]], accepts: [PING, ` ${PING} `] },

  carriage_return: {
    refuses: [
      // The smuggled request: one message to a JSON parser, three lines to many line readers.
      ['{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":\r[]\r}}', 54],
      [`\r${PING}`, 0],
      [`[${PING}]\r`, PING.length + 2],
      [`${PING}\r`, PING.length],
      [`${PING}\r\r`, PING.length],
      ['{\r"jsonrpc":"2.0","id":1,"method":"ping"}', 1],
      ['{"jsonrpc"\r:"2.0","id":1,"method":"ping"}', 10],
      ['{"jsonrpc":\r"2.0","id":1,"method":"ping"}', 11],
      ['{"jsonrpc":"2.0",\r"id":1,"method":"ping"}', 17],
      ['{"jsonrpc":"2.0"\r,"id":1,"method":"ping"}', 16],
      ['{"jsonrpc":"2.0","id":1\r,"method":"ping"}', 23],
      ['{"jsonrpc":"2.0","id":1,"method":"pi\rng"}', 36],
      [`${PING.slice(0, -1)}\r}`, PING.length - 1],
      [call('{"a":"b\rc"}'), ARGUMENTS + 7],
      [call("[1,\r2]"), ARGUMENTS + 3],
      [call("[1\r]"), ARGUMENTS + 2],
      ['"\r"', 1],
    ],
    accepts: [
      call('{"a":"b\\rc"}'),
      call('{"a":"\\r\\n\\u000d"}'),
      call('{"a":" \t"}'.replace("\t", "")),
    ],
  },

  control_character: {
    refuses: [
      [`\0${PING}`, 0],
      [`${PING}\0`, PING.length],
      [call('{"a":"\0"}'), ARGUMENTS + 6],
      [call('{"a":"\x1f"}'), ARGUMENTS + 6],
      [call('{"a":"\t"}'), ARGUMENTS + 6],
      [call('{"a":"\n"}'), ARGUMENTS + 6],
      [call('{"a\x01":1}'), ARGUMENTS + 3],
      [call('{"a":"\\\x01"}'), ARGUMENTS + 6],
      [call("[1,\x0b2]"), ARGUMENTS + 3],
      [call("[1,\x0c2]"), ARGUMENTS + 3],
      [`${PING}\n`, PING.length],
      [`${PING}\n${PING}`, PING.length],
      [`${PING}\x1e`, PING.length],
    ],
    accepts: [
      `\t${PING}\t`,
      call("[1,\t2]"),
      call('{"a":"\x7f"}'),
      call('{"a":"\u0080\u0085\u2028\u2029"}'),
      call('{"a":"\\u0001\\u0000\\t"}'),
    ],
  },

  byte_order_mark: {
    refuses: [[`\ufeff${PING}`, 0], ["\ufeff", 0], [`\ufeff[${PING}]`, 0]],
    accepts: [call('{"a":"\ufeff"}'), call('{"\ufeff":"\\ufeff"}')],
  },

  invalid_utf8: {
    refuses: [
      [raw(call('{"a":"').slice(0, -2), fromHex("80"), '"}}}'), ARGUMENTS + 6],
      // Overlong forms of "/" and of NUL.
      [raw(call('{"a":"').slice(0, -2), fromHex("c0af"), '"}}}'), ARGUMENTS + 6],
      [raw(call('{"a":"').slice(0, -2), fromHex("c080"), '"}}}'), ARGUMENTS + 6],
      [raw(call('{"a":"').slice(0, -2), fromHex("e080af"), '"}}}'), ARGUMENTS + 6],
      // A surrogate, a code point beyond U+10FFFF, bytes that never occur.
      [raw(call('{"a":"').slice(0, -2), fromHex("eda080"), '"}}}'), ARGUMENTS + 6],
      [raw(call('{"a":"').slice(0, -2), fromHex("f4908080"), '"}}}'), ARGUMENTS + 6],
      [raw(call('{"a":"ä').slice(0, -2), fromHex("fe"), '"}}}'), ARGUMENTS + 8],
      [raw(call('{"a":"😀😀😀😀😀').slice(0, -2), fromHex("80"), '😀😀"}}}'), ARGUMENTS + 26],
      [raw(call('{"a":"x😀€ä😀').slice(0, -2), fromHex("f09f98"), '"}}}'), ARGUMENTS + 20],
      // A character cut short, by the quote and by the end of the line.
      [raw(call('{"a":"').slice(0, -2), fromHex("e282"), '"}}}'), ARGUMENTS + 6],
      [raw(PING, fromHex("c3")), PING.length],
      // UTF-16.
      [fromHex("fffe7b00"), 0],
    ],
    accepts: [
      call('{"a":"\u00e4\u20ac\u{10ffff}\ud7ff\ue000"}'),
      call('{"ключ":"значение","鍵":"値","🔑":1}'),
    ],
  },

  too_deep: {
    refuses: [
      [nested(513), 512],
      ["[".repeat(100_000), 512],
      [request('{"a":'.repeat(512) + "0" + "}".repeat(512)), PARAMS + 511 * 5],
      [call(nested(511)), ARGUMENTS + 510],
    ],
    accepts: [
      call(nested(510)),
      request('{"a":'.repeat(510) + "{}" + "}".repeat(510)),
      request(nested(511)),
    ],
  },

  not_json: {
    refuses: [
      ["Server running on stdio", 0],
      ["{", 1],
      ["[", 1],
      [`${PING}}`, PING.length],
      [`${PING}${PING}`, PING.length],
      [`${PING} ${PING}`, PING.length + 1],
      [`${PING},${PING}`, PING.length],
      [`[${PING}]x`, PING.length + 2],
      [`[${PING}] []`, PING.length + 3],
      [PING.slice(0, -1), PING.length - 1],
      ['{"jsonrpc":"2.0","id":1,"method":"ping",}', 40],
      ['{"jsonrpc":"2.0",,"id":1,"method":"ping"}', 17],
      ['{,"jsonrpc":"2.0","id":1,"method":"ping"}', 1],
      ["{'jsonrpc':'2.0'}", 1],
      ["{jsonrpc:1}", 1],
      ['{"jsonrpc" "2.0"}', 11],
      ['{"jsonrpc":}', 11],
      ['{"jsonrpc"}', 10],
      ["{1:2}", 1],
      [withId("01"), ID + 1],
      [withId("+1"), ID],
      [withId("1."), ID + 2],
      [withId(".5"), ID],
      [withId("1e"), ID + 2],
      [withId("1e+"), ID + 3],
      [withId("-"), ID + 1],
      [withId("--1"), ID + 1],
      [withId("0x1"), ID + 1],
      [withId("1_000"), ID + 1],
      [withId("NaN"), ID],
      [withId("Infinity"), ID],
      [withId("-Infinity"), ID + 1],
      [withId("nul"), ID + 3],
      [withId("nulll"), ID + 4],
      [withId("True"), ID],
      [withId("undefined"), ID],
      [withId('"a'), ID + 3],
      [call("[1,]"), ARGUMENTS + 3],
      [call("[,1]"), ARGUMENTS + 1],
      [call("[1 2]"), ARGUMENTS + 3],
      [call("[1"), ARGUMENTS + 2],
      [call("{]"), ARGUMENTS + 1],
      [call("[}"), ARGUMENTS + 1],
      [call("// x"), ARGUMENTS],
      [call("/* x */ {}"), ARGUMENTS],
      [call("{} # x"), ARGUMENTS + 3],
      [call('"\\x41"'), ARGUMENTS + 1],
      [call('"\\u12g4"'), ARGUMENTS + 1],
      [call('"\\u123"'), ARGUMENTS + 1],
      [call('"\\U0041"'), ARGUMENTS + 1],
      [call('"\\\'"'), ARGUMENTS + 1],
      [call('{"\\a":1}'), ARGUMENTS + 2],
      [call('"a" "b"'), ARGUMENTS + 4],
      ["\u00a0" + PING, 0],
      [PING + "\u2028", PING.length],
      [PING + "\u0085", PING.length],
      ['{"a":1', 6],
      ['"\\', 1],
      ['"abc', 4],
    ],
    accepts: [
      call("[-0,0,1e5,1E+5,1e-5,0.5,-1.25e10,1e999,123456789012345678901234567890]"),
      call('["\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4",true,false,null,{},[],""]'),
      '\t{ "jsonrpc" : "2.0" , "id" : 1 , "method" : "ping" , "params" : { } } ',
    ],
  },

  not_an_object: {
    refuses: [
      ["1", 0],
      ['"x"', 0],
      [" null ", 1],
      ["true", 0],
      ["[1]", 1],
      [`[${PING},[]]`, PING.length + 2],
      [`[${PING}, null]`, PING.length + 3],
      [`[[${PING}]]`, 1],
    ],
    accepts: [PING, `[${PING}]`],
  },

  jsonrpc_version: {
    refuses: [
      ["{}", 0],
      ['{"level":"info","msg":"listening"}', 0],
      ['{"id":1,"method":"ping"}', 0],
      ['{"jsonrpc":2.0,"id":1,"method":"ping"}', 11],
      ['{"jsonrpc":"1.0","id":1,"method":"ping"}', 11],
      ['{"jsonrpc":"2","id":1,"method":"ping"}', 11],
      ['{"jsonrpc":" 2.0","id":1,"method":"ping"}', 11],
      ['{"jsonrpc":null,"id":1,"method":"ping"}', 11],
      ['{"jsonrpc":["2.0"],"id":1,"method":"ping"}', 11],
      [`[${PING},{"id":1}]`, PING.length + 2],
    ],
    accepts: [PING, '{"\\u006asonrpc":"2\\u002e0","id":1,"method":"ping"}'],
  },

  id_type: {
    refuses: [
      [withId("{}"), ID],
      [withId("[1]"), ID],
      [withId(`{"a":"${"x".repeat(1100)}"}`), ID],
      [withId(`[${"1,".repeat(1100)}1]`), ID],
      [withId("true"), ID],
      [withId("false"), ID],
      // A null id is none to some servers and one to others; MCP forbids it.
      [withId("null"), 0],
      ['{"jsonrpc":"2.0","id":null,"result":{}}', 0],
      ['{"jsonrpc":"2.0","result":{}}', 0],
      ['{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{}}}', 74],
      ['{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":null}}', 74],
    ],
    accepts: [
      withId('""'),
      withId("0"),
      withId("-0"),
      withId("-5"),
      withId("1.5"),
      withId("1e3"),
      withId("9007199254740993"),
      '{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"x"}}',
      '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{}}',
      '{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1.5}}',
    ],
  },

  method_type: {
    refuses: [
      ['{"jsonrpc":"2.0","id":1,"method":1}', 33],
      ['{"jsonrpc":"2.0","id":1,"method":null}', 33],
      ['{"jsonrpc":"2.0","id":1,"method":["tools/call"]}', 33],
      ['{"jsonrpc":"2.0","method":{}}', 26],
    ],
    accepts: ['{"jsonrpc":"2.0","id":1,"method":""}', '{"jsonrpc":"2.0","id":1,"method":"1"}'],
  },

  params_type: {
    refuses: [[request("1"), PARAMS], [request('"x"'), PARAMS], [request("null"), PARAMS], [
      request("true"),
      PARAMS,
    ]],
    accepts: [request("{}"), request("[]"), request('[{"name":1}]')],
  },

  error_type: {
    refuses: [
      ['{"jsonrpc":"2.0","id":1,"error":"x"}', 32],
      ['{"jsonrpc":"2.0","id":1,"error":null}', 32],
      ['{"jsonrpc":"2.0","id":1,"error":[]}', 32],
    ],
    accepts: [
      '{"jsonrpc":"2.0","id":1,"error":{}}',
      '{"jsonrpc":"2.0","id":1,"result":{"error":1}}',
    ],
  },

  not_a_message: {
    refuses: [
      ['{"jsonrpc":"2.0"}', 0],
      ['{"jsonrpc":"2.0","id":1}', 0],
      [' {"jsonrpc":"2.0","id":1,"params":{}}', 1],
      ['{"jsonrpc":"2.0","id":1,"method":"x","result":{}}', 0],
      ['{"jsonrpc":"2.0","id":1,"method":"x","error":{}}', 0],
      ['{"jsonrpc":"2.0","id":1,"result":{},"error":{}}', 0],
      ['{"jsonrpc":"2.0","id":1,"params":{},"result":{}}', 0],
    ],
    accepts: [
      PING,
      '{"jsonrpc":"2.0","id":1,"result":{"method":"x"}}',
      '{"jsonrpc":"2.0","method":"x","extra":1}',
    ],
  },

  identifier_too_long: {
    refuses: [
      [withId(`"${"x".repeat(1023)}"`), ID],
      [withId("1".repeat(1025)), ID],
      [`{"jsonrpc":"2.0","id":1,"method":"${"x".repeat(1023)}"}`, 33],
      [call("{}").replace('"t"', `"${"x".repeat(1023)}"`), 63],
      [request(`{"uri":"${"x".repeat(65_535)}"}`), PARAMS + 7],
      [
        `{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":${
          "1".repeat(1025)
        }}}`,
        74,
      ],
    ],
    accepts: [
      withId(`"${"x".repeat(1022)}"`),
      withId("1".repeat(1024)),
      `{"jsonrpc":"2.0","id":1,"method":"${"x".repeat(1022)}"}`,
      call("{}").replace('"t"', `"${"x".repeat(1022)}"`),
      request(`{"uri":"${"x".repeat(65_534)}"}`),
      request(`{"name":"${"x".repeat(5_000)}"}`),
      call(`{"name":"${"x".repeat(100_000)}"}`),
    ],
  },

  empty_batch: { refuses: [["[]", 0], [" [ ] ", 1]], accepts: [`[${PING}]`, request("[]")] },

  batch_too_long: {
    refuses: [
      [`[${Array(1025).fill(PING).join(",")}]`, 1 + 1024 * (PING.length + 1)],
      [`[${Array(1025).fill(PING).join(" , ")}]`, 1 + 1024 * (PING.length + 3)],
    ],
    accepts: [
      `[${Array(1024).fill(PING).join(",")}]`,
      request(`[${Array(1025).fill("{}").join(",")}]`),
    ],
  },
};

const duplicateEnvelope = '{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}';
const duplicateEscaped = '{"jsonrpc":"2.0","id":1,"method":"a","\\u006dethod":"b"}';
const duplicateName = request('{"name":"a","name":"b"}');
const duplicateNameEscaped = request('{"name":"a","n\\u0061m\\u0065":"b"}');
const duplicateInBatch = `[${PING},${duplicateEnvelope}]`;
const foldedEnvelope = '{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}';
const foldedEnvelopeAlone = '{"jsonrpc":"2.0","ID":1,"method":"ping"}';
const foldedResult = '{"jsonrpc":"2.0","id":1,"result":{},"reſult":{}}';
const foldedEscaped = '{"jsonrpc":"2.0","id":1,"method":"x","param\\u017f":{}}';
const foldedDotless = '{"jsonrpc":"2.0","ıd":2,"id":1,"method":"x"}';
const nulEnvelope = '{"jsonrpc":"2.0","id":1,"method":"x","method\\u0000":"y"}';
const nulMethod = '{"jsonrpc":"2.0","id":1,"method":"ping\\u0000/x"}';
const nulName = call("{}").replace('"t"', '"t\\u0000"');
const nulUri = '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a\\u0000b"}}';
const nulId = withId('"\\u0000"');
const nulParams = request('{"name\\u0000x":1}');
const manyKeys = (last: string) =>
  `{${Array.from({ length: 40 }, (_, i) => `"k${i}":0`).join(",")},${last}:1}`;

/** What is refused towards a server, and towards an agent only where it says so. */
export const AMBIGUOUS: Corpus = {
  duplicate_key: {
    refuses: [
      [duplicateEnvelope, 24],
      [duplicateEscaped, 37],
      [duplicateName, PARAMS + 12],
      [duplicateNameEscaped, PARAMS + 12],
      [duplicateInBatch, PING.length + 2 + 24],
      [call('{"a":1,"a":2}'), ARGUMENTS + 7],
      [call('{"a":1,"b":2,"\\u0061":3}'), ARGUMENTS + 13],
      [call('{"\\u0061":1,"a":2}'), ARGUMENTS + 12],
      [call('{"\\u0061":1,"\\u0061":2}'), ARGUMENTS + 12],
      [call('{"":1,"":2}'), ARGUMENTS + 6],
      [call('{"/":1,"\\/":2}'), ARGUMENTS + 7],
      [call('{"\\n":1,"\\u000a":2}'), ARGUMENTS + 8],
      [call('{"\\u000A":1,"\\u000a":2}'), ARGUMENTS + 12],
      [call('{"ä":1,"\\u00e4":2}'), ARGUMENTS + 8],
      [call('{"€":1,"\\u20ac":2}'), ARGUMENTS + 9],
      [call('{"😀":1,"\\ud83d\\ude00":2}'), ARGUMENTS + 10],
      [call('{"\\"":1,"\\u0022":2}'), ARGUMENTS + 8],
      [call('[[{"x":{"a":1,"a":2}}]]'), ARGUMENTS + 14],
      [call('{"a":{"b":1},"a":{"b":1}}'), ARGUMENTS + 13],
      [call('{"a":{"a":{"a":1}},"b":1,"a":1}'), ARGUMENTS + 25],
      [call(manyKeys('"k39"')), ARGUMENTS + manyKeys("").length - 3],
      [call(manyKeys('"k0"')), ARGUMENTS + manyKeys("").length - 3],
      [call(manyKeys('"k\\u0033\\u0037"')), ARGUMENTS + manyKeys("").length - 3],
      [request('{"_meta":{"progressToken":1,"progressToken":2}}'), PARAMS + 28],
      ['{"jsonrpc":"2.0","id":1,"result":{"a":1,"a":2}}', 40],
    ],
    agentRefuses: [
      duplicateEnvelope,
      duplicateEscaped,
      duplicateName,
      duplicateNameEscaped,
      duplicateInBatch,
    ],
    accepts: [
      call('{"a":{"a":{"a":1}},"b":{"a":1}}'),
      call('[{"a":1},{"a":2}]'),
      call('{"a":1,"A":2,"aa":3,"":4," a":5,"a ":6}'),
      call('{"\\u0061":1,"\\\\u0061":2}'),
      // Equal to the eye, not to a parser: composed and decomposed.
      call('{"\u00e4":1,"a\u0308":2}'),
      call(manyKeys('"k40"')),
      `[${PING},${PING}]`,
    ],
  },

  folded_key: {
    refuses: [
      [foldedEnvelope, 40],
      [foldedEnvelopeAlone, 17],
      [foldedResult, 36],
      [foldedEscaped, 37],
      [foldedDotless, 17],
      [request('{"name":"a","Name":"b"}'), PARAMS + 12],
      [request('{"NAME":"b"}'), PARAMS + 1],
      [request('{"nam\\u0045":"b"}'), PARAMS + 1],
      [request('{"Arguments":{}}'), PARAMS + 1],
      [request('{"argumentſ":{}}'), PARAMS + 1],
      [request('{"argument\\u017f":{}}'), PARAMS + 1],
      [request('{"taſK":{}}'), PARAMS + 1],
      [request('{"tas\u212a":{}}'), PARAMS + 1],
      [request('{"ta\\u017F\\u212a":{}}'), PARAMS + 1],
      [request('{"urı":"x"}'), PARAMS + 1],
      [request('{"urİ":"x"}'), PARAMS + 1],
      [request('{"URI":"x"}'), PARAMS + 1],
      [request('{"requestid":1}'), PARAMS + 1],
      [request('{"RequestID":1}'), PARAMS + 1],
      [request('{"protocolversion":"x"}'), PARAMS + 1],
      [request('{"_Meta":{}}'), PARAMS + 1],
      [request('{"meßage":"x"}'), PARAMS + 1],
      [request('{"\ufb06atus":"x"}'), PARAMS + 1],
      [request('{"\\u006e\\u0061\\u006d\\u0045":1}'), PARAMS + 1],
      [request('{"modelpreference\\u0053":1}'), PARAMS + 1],
    ],
    agentRefuses: [
      foldedEnvelope,
      foldedEnvelopeAlone,
      foldedResult,
      foldedEscaped,
      foldedDotless,
    ],
    accepts: [
      request('{"name":"a","arguments":{"Name":1,"NAME":2,"uRi":3}}'),
      request('{"n\\u0061me":"a","_meta":{"Name":1},"requestId":1,"clientInfo":{}}'),
      request('{"names":1,"nam":2,"na me":3,"ſ":4,"K":5,"name\u0301":6,"\uff4eame":7}'),
      '{"jsonrpc":"2.0","id":1,"method":"x","meth":1,"ids":2,"name":3,"Uri":4}',
      '{"jsonrpc":"2.0","id":1,"result":{"Method":1,"ID":2}}',
    ],
  },

  lone_surrogate: {
    refuses: [
      [call('{"a":"\\ud800"}'), ARGUMENTS + 6],
      [call('{"a":"\\udc00"}'), ARGUMENTS + 6],
      [call('{"a":"\\udbff"}'), ARGUMENTS + 6],
      [call('{"a":"\\udfff"}'), ARGUMENTS + 6],
      [call('{"a":"\\uD83D"}'), ARGUMENTS + 6],
      [call('{"a":"\\ud83dx"}'), ARGUMENTS + 6],
      [call('{"a":"\\ud83d\\n"}'), ARGUMENTS + 6],
      [call('{"a":"\\ud83d\\ud83d"}'), ARGUMENTS + 6],
      [call('{"a":"\\ud83d\\u0061"}'), ARGUMENTS + 6],
      [call('{"a":"\\ude00\\ud83d"}'), ARGUMENTS + 6],
      [call('{"a":"\\ude00\\ude00"}'), ARGUMENTS + 6],
      [call('{"a":"\\ud83d\\ude00\\ude00"}'), ARGUMENTS + 18],
      [call('{"\\ud800":1}'), ARGUMENTS + 2],
      [call('{"a":{"\\udc00":1}}'), ARGUMENTS + 7],
      [request('{"\\ud800":1}'), PARAMS + 2],
      ['{"jsonrpc":"2.0","id":"\\ud800","method":"x"}', 23],
      ['{"jsonrpc":"2.0","id":1,"result":"\\ud800"}', 34],
    ],
    accepts: [
      call('{"a":"\\ud83d\\ude00 \\uD800\\uDC00 \\udbff\\udfff"}'),
      call('{"\\ud83d\\ude00":1}'),
      call('{"a":"\\\\ud800","b":"\\ud7ff\\ue000"}'),
    ],
  },

  escaped_nul: {
    refuses: [
      [nulEnvelope, 37],
      [nulMethod, 33],
      [nulName, 63],
      [nulUri, 66],
      [nulId, ID],
      [nulParams, PARAMS + 1],
      [call('{"path\\u0000":1}'), ARGUMENTS + 1],
      [call('[{"\\u0000":1}]'), ARGUMENTS + 2],
    ],
    agentRefuses: [nulEnvelope, nulMethod, nulName, nulUri, nulId, nulParams],
    accepts: [call('{"path":"a\\u0000b"}'), call('{"\\\\u0000":1}'), request('{"x":"\\u0000"}')],
  },

  name_type: {
    refuses: [
      ['{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":["rm"]}}', 63],
      ['{"params":{"name":5},"jsonrpc":"2.0","id":1,"method":"tools/call"}', 18],
      ['{"jsonrpc":"2.0","method":"prompts/get","params":{"name":null}}', 57],
    ],
    accepts: [
      request('{"name":["x"]}'),
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{}}',
      '{"jsonrpc":"2.0","id":1,"method":"tools/call"}',
    ],
  },

  uri_type: {
    refuses: [
      ['{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":["x"]}}', 66],
      ['{"jsonrpc":"2.0","id":1,"method":"resources/subscribe","params":{"uri":1}}', 71],
      ['{"params":{"uri":null},"jsonrpc":"2.0","id":1,"method":"resources/unsubscribe"}', 17],
    ],
    accepts: [
      request('{"uri":{}}'),
      '{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{}}',
    ],
  },
};
