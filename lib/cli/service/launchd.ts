/** A launchd agent for `mcp-serve`: a property list of the user's. Pure. (launchd.plist(5)) */

import type { ServiceFacts } from "./service_facts.ts";

/** After an end: launchd's own least pause is 10 s. */
const RESTART_PAUSE_S = 10;

/** As `0077`: launchd wants it in decimal. */
const PRIVATE_UMASK = 0o077;

/** Returns the agent's label. */
export function agentLabel(name: string): string {
  return name === "default" ? "talos.mcp-serve" : `talos.mcp-serve.${name}`;
}

/** Returns the property list. `log` takes what it prints. */
export function launchAgent({ name, argv, directory, env }: ServiceFacts, log: string): string {
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
    '<plist version="1.0">',
    "<dict>",
    ...entry("Label", string(agentLabel(name))),
    ...entry("ProgramArguments", "<array>", ...argv.map((word) => `  ${string(word)}`), "</array>"),
    ...entry("WorkingDirectory", string(directory)),
    ...entry(
      "EnvironmentVariables",
      "<dict>",
      ...Object.entries(env).flatMap(([key, value]) => entry(key, string(value))),
      "</dict>",
    ),
    ...entry("RunAtLoad", "<true/>"),
    ...entry("KeepAlive", "<true/>"),
    ...entry("ThrottleInterval", `<integer>${RESTART_PAUSE_S}</integer>`),
    ...entry("Umask", `<integer>${PRIVATE_UMASK}</integer>`),
    ...entry("StandardOutPath", string(log)),
    ...entry("StandardErrorPath", string(log)),
    "</dict>",
    "</plist>",
    "",
  ].join("\n");
}

function entry(key: string, ...value: readonly string[]): string[] {
  return [`  <key>${xml(key)}</key>`, ...value.map((line) => `  ${line}`)];
}

function string(text: string): string {
  return `<string>${xml(text)}</string>`;
}

/** Returns `text` as XML has it. */
export function xml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
