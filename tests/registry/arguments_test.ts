import assert from "node:assert/strict";
import { HELP, parseArguments } from "../../registry/arguments.ts";
import { RegistryError } from "../../registry/errors.ts";

const DEFAULTS = {
  want: "serve",
  port: 8765,
  host: undefined,
  dataDir: undefined,
  joinTokenFile: undefined,
  httpPort: undefined,
  httpHost: "127.0.0.1",
  json: false,
  verbose: false,
} as const;

Deno.test("parseArguments() serves on port 8765 of all interfaces when nothing is said", () => {
  assert.deepEqual(parseArguments([]), DEFAULTS);
});

Deno.test("parseArguments() takes every option in both forms when it is given", () => {
  const expected = {
    want: "serve",
    port: 0,
    host: "::1",
    dataDir: "/data",
    joinTokenFile: "/token",
    httpPort: 9100,
    httpHost: "::1",
    json: true,
    verbose: true,
  };
  assert.deepEqual(
    parseArguments([
      "--port",
      "0",
      "--host",
      "::1",
      "--data-dir",
      "/data",
      "--join-token-file",
      "/token",
      "--http-port",
      "9100",
      "--http-host",
      "::1",
      "--json",
      "--verbose",
    ]),
    expected,
  );
  assert.deepEqual(
    parseArguments([
      "--port=0",
      "--host=::1",
      "--data-dir=/data",
      "--join-token-file=/token",
      "--http-port=9100",
      "--http-host=::1",
      "--json",
      "--verbose",
    ]),
    expected,
  );
});

Deno.test("parseArguments() wants help or the version when asked", () => {
  assert.deepEqual(parseArguments(["--help"]), { want: "help" });
  assert.deepEqual(parseArguments(["-h", "--json"]), { want: "help" });
  assert.deepEqual(parseArguments(["-V"]), { want: "version" });
});

for (
  const [words, sentence] of [
    [["--prot", "1"], "Unknown option '--prot'"],
    [["--join-token", "secret"], "Unknown option '--join-token'"],
    [["--join-token-file", ""], "Cannot use --join-token-file: it is empty"],
    [["--http-port", "x"], "Cannot use --http-port x: it is not 0 to 65535"],
    [["--http-host="], "Cannot use --http-host: it is empty"],
    [["hello"], "Unexpected argument 'hello'"],
    [["--port"], "Option '--port <value>' argument missing"],
    [["--port", "70000"], "Cannot use --port 70000: it is not 0 to 65535"],
    [["--port", "-1"], "Option '--port' argument is ambiguous"],
    [["--port=-1"], "Cannot use --port -1: it is not 0 to 65535"],
    [["--port", "1e3"], "Cannot use --port 1e3: it is not 0 to 65535"],
    [["--port", ""], "Cannot use --port : it is not 0 to 65535"],
    [["--host", ""], "Cannot use --host: it is empty"],
    [["--data-dir="], "Cannot use --data-dir: it is empty"],
    [["--json=yes"], "Option '--json' does not take an argument"],
  ] as const
) {
  Deno.test(`parseArguments() refuses when it is given ${JSON.stringify(words)}`, () => {
    assert.throws(() => parseArguments(words), (error: unknown) => {
      assert.ok(error instanceof RegistryError);
      assert.equal(error.code, "usage");
      assert.equal(error.message, sentence);
      assert.deepEqual(error.hints, ["talos-server --help lists the options"]);
      return true;
    });
  });
}

Deno.test("HELP names every option and every default", () => {
  const options = ["port", "host", "data-dir", "join-token-file", "http-port", "http-host"];
  for (const option of [...options, "json", "verbose", "version", "help"]) {
    assert.ok(HELP.includes(`--${option}`), option);
  }
  assert.match(HELP, /default: 8765/);
  assert.match(HELP, /default: 127\.0\.0\.1/);
});
