/**
 * `talos mcp-connect`: is a host's MCP server to the agent that started it.
 *
 * Whatever goes wrong, a wrong argument included, the agent learns as the answer to its first request.
 * The connection begins before anything heavy is loaded.
 */

import { DEFAULT_MAX_MESSAGE_BYTES } from "../../limits.ts";
import { processStdio } from "../agent_stdio.ts";
import { connectAhead } from "../connect_ahead.ts";
import type { Context } from "../context.ts";
import type { HostOptions } from "../host_sessions.ts";

/** The options of `talos mcp-connect`. */
export interface McpConnectOptions extends HostOptions {
  /** The longest message, in bytes. */
  readonly maxMessage?: number;
  /** Tools that may run twice, as they were typed: names with commas between them. */
  readonly retryIdempotent?: readonly string[];
}

/** Serves the agent until it closes its end. Throws TalosError. */
export async function mcpConnectCommand(
  context: Context,
  options: McpConnectOptions,
  target: string,
): Promise<void> {
  using ahead = connectAhead(target);
  const [{ connectAgent }, { hostSessions }] = await Promise.all([
    import("../../mcp/connect.ts"),
    import("../host_sessions.ts"),
  ]);
  const maxMessage = options.maxMessage ?? DEFAULT_MAX_MESSAGE_BYTES;
  const sessions = hostSessions(context, options, target, ahead);
  await connectAgent({
    ...agentOf(context),
    openSession: () => sessions.open(maxMessage),
    maxMessage,
    repeatableTools: toolNames(options.retryIdempotent ?? []),
  });
  await sessions.check(); // an agent that left at once has not hidden what is wrong
}

/** Tells the agent, as the answer to its first request, why the command cannot be run. Throws `error`. */
export async function refuseAgent(context: Context, error: unknown): Promise<void> {
  const { connectAgent } = await import("../../mcp/connect.ts");
  await connectAgent({
    ...agentOf(context),
    openSession: () => Promise.reject(error),
    maxMessage: DEFAULT_MAX_MESSAGE_BYTES,
  });
}

function toolNames(typed: readonly string[]): string[] {
  return typed.flatMap((names) => names.split(",")).map((name) => name.trim())
    .filter((name) => name !== "");
}

function agentOf({ clock, log, random }: Context) {
  return {
    agent: processStdio(),
    waitForRequest: !Deno.stdin.isTerminal(),
    interceptors: [],
    clock,
    random,
    log,
  };
}
