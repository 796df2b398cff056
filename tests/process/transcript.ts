/**
 * Transcripts: what people type and what Talos answers, as text that is read and run.
 *
 *     # A comment.
 *     * host and agent have identities                  something that happens without Talos
 *     host$ talos mcp-serve --command cat &             runs on, once it says what to do next
 *     agent$ talos mcp-connect <HOST>@127.0.0.1:<PORT>  a command, on the machine of that name
 *     < {"jsonrpc":"2.0","id":1,"method":"ping"}        a line of its standard input
 *     {"jsonrpc":"2.0","id":1,…                         a line of its standard output
 *     ! talos: …                                        a line of its standard error
 *     exit 4                                            its exit status
 *
 * `$` alone is the machine `agent`. What differs from run to run stands as `<NAME>`. Pure.
 */

/** A step of a transcript. */
export type Step =
  /** Text that is only read. */
  | { readonly kind: "comment"; readonly line: string }
  /** Something that happens without Talos. */
  | { readonly kind: "act"; readonly line: string; readonly act: string }
  /** A command, and what it printed when the transcript was written. */
  | {
    readonly kind: "command";
    readonly line: string;
    readonly machine: string;
    readonly typed: string;
    readonly background: boolean;
    readonly input: readonly string[];
    readonly printed: readonly string[];
  };

const PROMPT = /^(\w*)\$ (.*?)( &)?$/;

/** Returns the steps of a transcript. Throws an Error for a line that belongs to nothing. */
export function parseTranscript(text: string): Step[] {
  const steps: Step[] = [];
  let input: string[] = [];
  let printed: string[] = [];
  let inCommand = false;
  for (const line of text.trimEnd().split("\n")) {
    const prompt = PROMPT.exec(line);
    if (prompt !== null) {
      [input, printed, inCommand] = [[], [], true];
      const [, machine = "", typed = "", ampersand] = prompt;
      const background = ampersand !== undefined;
      steps.push({
        kind: "command",
        line,
        machine: machine === "" ? "agent" : machine,
        typed,
        background,
        input,
        printed,
      });
    } else if (line.startsWith("* ")) {
      [input, printed, inCommand] = [[], [], true];
      steps.push({ kind: "act", line, act: line.slice(2) });
      steps.push({ kind: "command", line: "", machine: "", typed: "", background: false, input, printed });
    } else if (line === "" || line.startsWith("#")) {
      steps.push({ kind: "comment", line });
      inCommand = false;
    } else if (line.startsWith("< ")) {
      input.push(line.slice(2));
    } else {
      if (!inCommand) throw new Error(`no command printed this: ${line}`);
      printed.push(line);
    }
  }
  return steps;
}
