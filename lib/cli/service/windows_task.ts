/**
 * A scheduled task for `mcp-serve`, which Windows starts when the user logs on. Pure. (Task Scheduler schema 1.4)
 *
 * A task has no variables and keeps nothing that is printed. So `cmd.exe` sets the ones and appends the other to a
 * file. No quoting of `"` and `%` is safe there: a word with one is refused.
 */

import { CliError } from "../errors.ts";
import { xml } from "./launchd.ts";
import type { ServiceFacts, UserFacts } from "./service_facts.ts";

/** Returns the task's name. */
export function taskName(name: string): string {
  return name === "default" ? "Talos" : `Talos ${name}`;
}

/** Returns the task as XML. Throws CliError "usage" for a word that `cmd.exe` might act upon. */
export function taskXml(
  { name, argv, directory, env }: ServiceFacts,
  { user, systemRoot }: Pick<UserFacts, "user" | "systemRoot">,
  log: string,
): string {
  const sets = Object.entries(env).map(([key, value]) => `set ${quoted(`${key}=${value}`)} && `);
  const line = `${sets.join("")}${argv.map(quoted).join(" ")} >> ${quoted(log)} 2>&1`;
  return [
    '<?xml version="1.0" encoding="UTF-16"?>',
    '<Task version="1.4" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">',
    "  <RegistrationInfo>",
    `    <Description>Talos: MCP servers shared from this machine (${xml(name)})</Description>`,
    "  </RegistrationInfo>",
    "  <Triggers>",
    "    <LogonTrigger>",
    `      <UserId>${xml(user)}</UserId>`,
    "    </LogonTrigger>",
    "  </Triggers>",
    "  <Principals>",
    '    <Principal id="Author">',
    `      <UserId>${xml(user)}</UserId>`,
    "      <LogonType>InteractiveToken</LogonType>",
    "      <RunLevel>LeastPrivilege</RunLevel>",
    "    </Principal>",
    "  </Principals>",
    "  <Settings>",
    "    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>",
    "    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>",
    "    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>",
    "    <StartWhenAvailable>true</StartWhenAvailable>",
    "    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>",
    "    <RestartOnFailure>",
    "      <Interval>PT1M</Interval>",
    "      <Count>999</Count>",
    "    </RestartOnFailure>",
    "  </Settings>",
    '  <Actions Context="Author">',
    "    <Exec>",
    `      <Command>${xml(systemRoot)}\\System32\\cmd.exe</Command>`,
    `      <Arguments>/d /s /c ${xml(`"${line}"`)}</Arguments>`,
    `      <WorkingDirectory>${xml(directory)}</WorkingDirectory>`,
    "    </Exec>",
    "  </Actions>",
    "</Task>",
    "",
  ].join("\r\n");
}

function quoted(word: string): string {
  // deno-lint-ignore no-control-regex -- a command is one line
  const found = /["%\x00-\x1f\x7f]/.exec(word)?.[0];
  if (found !== undefined) {
    throw new CliError(
      "usage",
      `Cannot write a service: a word of it holds ${
        JSON.stringify(found)
      }, which cmd.exe may act upon`,
      { hints: ["put the MCP server's command behind a second --, word by word"] },
    );
  }
  // A backslash before the closing quote would escape that for the program.
  return `"${word.replace(/(\\+)$/, "$1$1")}"`;
}
