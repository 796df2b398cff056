/** Runs the system's own programs that manage services: a thin executor. */

import { messageOf } from "../../errors.ts";
import { printable } from "../../log.ts";
import { CliError } from "../errors.ts";
import type { Argv } from "./service_plan.ts";

/** What a program that ended printed. */
export interface Ended {
  /** Its exit status. */
  readonly code: number;
  /** Its results. */
  readonly stdout: string;
  /** What else it said. */
  readonly stderr: string;
}

/** Runs a program to its end. Throws CliError "service_unavailable" when it cannot be started. */
export async function runSystem([program, ...args]: Argv): Promise<Ended> {
  try {
    const output = await new Deno.Command(program, {
      args,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).output();
    const decoded = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
    return { code: output.code, stdout: decoded(output.stdout), stderr: decoded(output.stderr) };
  } catch (error) {
    throw notStarted(program, error);
  }
}

/** Runs a program, hands on each line it prints, and returns its exit status and last words. */
export async function followSystem(
  [program, ...args]: Argv,
  take: (line: string) => void,
): Promise<Pick<Ended, "code" | "stderr">> {
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program, { args, stdin: "null", stdout: "piped", stderr: "piped" })
      .spawn();
  } catch (error) {
    throw notStarted(program, error);
  }
  const words = new Response(child.stderr).text();
  let rest = "";
  for await (const text of child.stdout.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split(/\r?\n/);
    rest = lines.pop() ?? "";
    lines.forEach(take);
  }
  if (rest !== "") take(rest);
  const { code } = await child.status;
  return { code, stderr: await words };
}

/** Returns what a program said last, for a sentence. */
export function lastWords({ stderr, stdout }: Partial<Ended>): string {
  const text = stderr?.trim() || stdout?.trim() || "it said nothing";
  return printable(text.split("\n").at(-1) ?? "", 400);
}

function notStarted(program: string, error: unknown): unknown {
  if (error instanceof Deno.errors.NotCapable) return error;
  const state = error instanceof Deno.errors.NotFound
    ? "it is not on this machine"
    : messageOf(error);
  return new CliError("service_unavailable", `Cannot run ${program}: ${state}`, { cause: error });
}
