/** Who runs this process, as far as services need to know: a thin executor. */

import { ownUid } from "../../identity/file_permissions.ts";
import type { Context } from "../context.ts";
import { CliError } from "../errors.ts";
import type { UserFacts } from "./service_facts.ts";

/** Returns the facts about this process's user. Throws CliError "usage" where the user's directory is not known. */
export function userFacts({ os, env }: Pick<Context, "os" | "env">): UserFacts {
  const variable = os === "windows" ? "USERPROFILE" : "HOME";
  const directory = env(variable);
  if (directory === undefined || directory === "") {
    throw new CliError("usage", `Cannot tell whose service it is: ${variable} is not set`);
  }
  const configHome = os === "linux" ? env("XDG_CONFIG_HOME") : undefined;
  return {
    os,
    directory,
    configHome: configHome?.startsWith("/") ? configHome : undefined,
    uid: ownUid(),
    user: os === "windows"
      ? [env("USERDOMAIN"), env("USERNAME")].filter(Boolean).join("\\")
      : env("USER") ?? "",
    systemRoot: os === "windows" ? env("SYSTEMROOT") ?? "C:\\Windows" : "",
  };
}
