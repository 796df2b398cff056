import assert from "node:assert/strict";
import {
  quoteWindows,
  quoteWindowsArgument,
  splitPosix,
  splitWindows,
} from "../../lib/mcp/command_line.ts";
import { McpError, type McpErrorCode } from "../../lib/mcp/errors.ts";
import { SeededRandom } from "../../scripts/seeded_random.ts";

function refused(code: McpErrorCode, call: () => unknown, what: string): McpError {
  try {
    call();
  } catch (thrown) {
    assert.ok(thrown instanceof McpError, `${what} throws ${thrown}`);
    assert.equal(thrown.code, code, `${what}: ${thrown.message}`);
    return thrown;
  }
  assert.fail(`${what} is accepted`);
}

Deno.test("splitPosix() makes the words that a POSIX shell makes", () => {
  const cases: [string, string[]][] = [
    ["", []],
    [" \t ", []],
    ["npx", ["npx"]],
    [
      "npx -y @modelcontextprotocol/server-filesystem /home/user/projects",
      ["npx", "-y", "@modelcontextprotocol/server-filesystem", "/home/user/projects"],
    ],
    ["  a\t b  ", ["a", "b"]],
    [`'a b' "c d" e\\ f`, ["a b", "c d", "e f"]],
    [`a'b'"c"d`, ["abcd"]],
    [`'' "" a''b`, ["", "", "ab"]],
    [`'a"b' "c'd"`, [`a"b`, "c'd"]],
    [`'a\\b' 'a\\'`, ["a\\b", "a\\"]],
    [`\\a \\' \\" \\\\ \\| \\$HOME`, ["a", "'", '"', "\\", "|", "$HOME"]],
    [`"\\a \\' \\" \\\\ \\$ \\\` \\|"`, ["\\a \\' \" \\ $ ` \\|"]],
    [`'a\nb' "c\nd"`, ["a\nb", "c\nd"]],
    [`'$HOME \`x\` | & ; < > ( ) * ? [ ~ #'`, ["$HOME `x` | & ; < > ( ) * ? [ ~ #"]],
    [`"| & ; < > ( ) * ? [ ~ # !"`, ["| & ; < > ( ) * ? [ ~ # !"]],
    ["a$ $ b$. $/", ["a$", "$", "b$.", "$/"]],
    [`"$" "a$" "$ b" "$.$"`, ["$", "a$", "$ b", "$.$"]],
    ["a~ a~/b --x=~ a#b a]", ["a~", "a~/b", "--x=~", "a#b", "a]"]],
    ["--key=value a=b", ["--key=value", "a=b"]],
    ["prog A=b", ["prog", "A=b"]],
    [`'A=b' prog`, ["A=b", "prog"]],
    ["1A=b prog", ["1A=b", "prog"]],
    ["{a,b} ! % ^ , : @ + -", ["{a,b}", "!", "%", "^", ",", ":", "@", "+", "-"]],
    ["ä€😀 '日 本'", ["ä€😀", "日 本"]],
    ["a\u00a0b", ["a\u00a0b"]],
    ["C:\\\\dir", ["C:\\dir"]],
  ];
  for (const [text, words] of cases) assert.deepEqual(splitPosix(text), words, text);
});

Deno.test("splitPosix() refuses what only a shell could carry out, and names a way out", () => {
  const texts = [
    "a | b",
    "a|b",
    "a & b",
    "a && b",
    "a ; b",
    "a;",
    "a < b",
    "a > b",
    "a 2>&1",
    "(a)",
    "a)",
    "a `b`",
    "a $(b)",
    "a $((1))",
    "a $HOME",
    "a ${HOME}",
    "a $1",
    "a $@",
    "a $? $$",
    "a $'b'",
    'a $"b"',
    'a "$HOME"',
    'a "${HOME}"',
    'a "$(b)"',
    'a "`b`"',
    'a "$[1]"',
    "a *",
    "a b*.txt",
    "a b?",
    "a [b]",
    "a ~",
    "a ~/b",
    "~/bin/a",
    "a # b",
    "# a",
    "a\nb",
    "a\n",
    "a \\\n b",
    'a "b\\\nc"',
    "a $\\\nHOME",
    "A=b prog",
    "A= prog",
    "A='secret value' prog",
    "_a1=b",
  ];
  for (const text of texts) {
    const error = refused("shell_syntax", () => splitPosix(text), text);
    assert.ok(error.hints.length > 0, text);
    assert.ok(!/secret/.test(error.message + error.hints.join()), "a value is repeated");
  }
  const pipe = refused("shell_syntax", () => splitPosix("a | b"), "a pipe");
  assert.equal(
    pipe.message,
    "Cannot split the command: | at character 3 is a pipe, which only a shell carries out",
  );
  assert.ok(pipe.hints.some((hint) => hint.includes(`--command "sh -c '…'"`)));
  const assignment = refused("shell_syntax", () => splitPosix("KEY=v npx x"), "an assignment");
  assert.ok(assignment.hints.some((hint) => hint.includes("--env KEY")));
});

Deno.test("splitPosix() refuses a quote or a backslash when it has no end", () => {
  for (const text of ["'", "a 'b", 'a "b', 'a "b\\"', '"', "a\\", "\\", 'a "b\\']) {
    refused("unterminated_quote", () => splitPosix(text), text);
  }
});

Deno.test("splitPosix() and splitWindows() refuse NUL", () => {
  refused("unquotable_argument", () => splitPosix("a\0b"), "POSIX");
  refused("unquotable_argument", () => splitWindows("a\0b"), "Windows");
});

Deno.test({
  name: "splitPosix() splits like this system's sh whenever it accepts a text",
  ignore: Deno.build.os === "windows",
  fn() {
    const LETTERS = [..."ab =/~#$\\\"' *;{}!%"];
    const texts: string[] = [];
    for (let seed = 0; texts.length < 1500; seed++) {
      const random = new SeededRandom(`sh/${seed}`);
      const text = Array.from({ length: random.between(1, 12) }, () => random.pick(LETTERS)).join(
        "",
      );
      try {
        splitPosix(text);
        texts.push(text);
      } catch {
        // Refused: sh is not asked.
      }
    }
    // A directory without files, so that patterns, which must not be there anyway, would show.
    const script = texts.map((text) => `printf '<%s>' x ${text}; echo '|'`).join("\n");
    const { stdout, success } = new Deno.Command("sh", { args: ["-c", script], cwd: "/" })
      .outputSync();
    assert.ok(success);
    const expected = texts.map((text) =>
      `<x>${splitPosix(text).map((word) => `<${word}>`).join("")}|`
    );
    const lines = new TextDecoder().decode(stdout).trimEnd().split("\n");
    assert.equal(lines.length, texts.length);
    for (const [i, line] of lines.entries()) assert.equal(line, expected[i], texts[i]);
  },
});

Deno.test("splitWindows() makes the words that a Windows program gets", () => {
  const cases: [string, string[]][] = [
    ["", []],
    ["  \t ", []],
    // Microsoft's own examples, "Parsing C command-line arguments".
    [`x "abc" d e`, ["x", "abc", "d", "e"]],
    [`x "a b c" d e`, ["x", "a b c", "d", "e"]],
    [`x "ab\\"c" "\\\\" d`, ["x", 'ab"c', "\\", "d"]],
    [`x a\\\\\\b d"e f"g h`, ["x", "a\\\\\\b", "de fg", "h"]],
    [`x a\\\\\\"b c d`, ["x", 'a\\"b', "c", "d"]],
    [`x a\\\\\\\\"b c" d e`, ["x", "a\\\\b c", "d", "e"]],
    // The rule since 2008.
    [`x "a""b c" d`, ["x", 'a"b c', "d"]],
    [`x "" a`, ["x", "", "a"]],
    [`x """"`, ["x", '"']],
    [`x """a b""" c`, ["x", '"a b"', "c"]],
    [`x a""b`, ["x", "ab"]],
    // The program's name: a backslash never escapes there.
    [`"C:\\Program Files\\node\\npx.cmd" -y a`, ["C:\\Program Files\\node\\npx.cmd", "-y", "a"]],
    [`C:\\a\\ b`, ["C:\\a\\", "b"]],
    [`"C:\\a b\\" c`, ["C:\\a b\\", "c"]],
    [`C:\\"a b"\\c d`, ["C:\\a b\\c", "d"]],
    [`x C:\\dir\\ "C:\\a b\\\\" y`, ["x", "C:\\dir\\", "C:\\a b\\", "y"]],
    [`x 'a b' %PATH% a|b ^& $x`, ["x", "'a", "b'", "%PATH%", "a|b", "^&", "$x"]],
    [" x\ty ", ["x", "y"]],
    [`x ä "日 本"`, ["x", "ä", "日 本"]],
  ];
  for (const [text, words] of cases) assert.deepEqual(splitWindows(text), words, text);
});

Deno.test("splitWindows() refuses a quote when it has no end, where Windows would guess", () => {
  for (const text of ['"', '"a b', 'x "a', 'x a"b"" c d', 'x "a\\"', 'x """']) {
    refused("unterminated_quote", () => splitWindows(text), text);
  }
});

Deno.test("quoteWindowsArgument() quotes only where it must, and doubles only where it must", () => {
  const cases: [string, string][] = [
    ["a", "a"],
    ["a\\b\\", "a\\b\\"],
    ["", '""'],
    ["a b", '"a b"'],
    ["a b\\", '"a b\\\\"'],
    ["a\\b c", '"a\\b c"'],
    ['a"b', '"a\\"b"'],
    ['a\\"b', '"a\\\\\\"b"'],
    ['\\\\"', '"\\\\\\\\\\""'],
    ["a\tb", '"a\tb"'],
  ];
  for (const [argument, quoted] of cases) assert.equal(quoteWindowsArgument(argument), quoted);
});

Deno.test("quoteWindows() makes a line that splitWindows() splits into the same words", () => {
  const LETTERS = [...' \t\\\\""ab'];
  for (let seed = 0; seed < 3000; seed++) {
    const random = new SeededRandom(`quote/${seed}`);
    const word = (least: number) =>
      Array.from({ length: random.between(least, 8) }, () => random.pick(LETTERS)).join("");
    const program = word(1).replaceAll('"', "p");
    const words = [program, ...Array.from({ length: random.below(5) }, () => word(0))];
    assert.deepEqual(splitWindows(quoteWindows(words)), words, `seed ${seed}`);
  }
});

Deno.test("quoteWindows() refuses what no command line can express", () => {
  refused("empty_command", () => quoteWindows([]), "no word");
  refused("empty_command", () => quoteWindows(["", "a"]), "no program");
  refused("unquotable_argument", () => quoteWindows(['a"b']), "a quote in the program's name");
  refused("unquotable_argument", () => quoteWindows(["a", "b\0"]), "NUL");
});
