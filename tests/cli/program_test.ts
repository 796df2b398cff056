import assert from "node:assert/strict";
import type { Command } from "commander";

import { talosProgram } from "../../lib/cli/program.ts";

function program(): Command {
  return talosProgram({ contextOf: () => assert.fail("nothing runs"), print: () => {} });
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

Deno.test("talosProgram() gives every command --home, --json, --verbose and --help", () => {
  for (const command of everyCommand(program())) {
    const options = command.createHelp().visibleOptions(command).map(({ long }) => long);
    for (const option of ["--home", "--json", "--verbose", "--help"]) {
      assert.ok(options.includes(option), `${command.name()} ${option}`);
    }
  }
});

Deno.test("talosProgram() says of every command and option what it is", () => {
  for (const command of everyCommand(program())) {
    assert.notEqual(command.description(), "", command.name());
    for (const option of command.options) assert.notEqual(option.description, "", option.flags);
  }
});

Deno.test("talosProgram() has help that fits into 80 columns, examples aside", () => {
  for (const command of everyCommand(program())) {
    for (const line of command.helpInformation().split("\n")) {
      assert.ok(line.length <= 80, `${command.name()}: ${line}`);
    }
  }
});

Deno.test("talosProgram() has no option that takes an unlimited number of values", () => {
  for (const command of everyCommand(program())) {
    for (const option of command.options) assert.ok(!option.variadic, option.flags);
  }
});
