/**
 * What makes shells complete `talos` commands: a script for each, made of the commands and options that
 * there are. Pure. Names are completed, values are not: Peer IDs and servers are nobody's to guess, and
 * for files every shell has its own way, which is left in place.
 */

/** A command, by the words that lead to it, with what may follow. */
export interface CompletedCommand {
  /** `mcp-serve`, or `contacts add`; empty for `talos` itself. */
  readonly path: string;
  /** The commands below it. */
  readonly commands: readonly string[];
  /** Its options, with their dashes. */
  readonly options: readonly string[];
}

/** The shells that have a script. */
export const SHELLS = ["bash", "zsh", "fish", "powershell"] as const;

/** One of {@link SHELLS}. */
export type Shell = typeof SHELLS[number];

/** Tells whether `text` names a shell that has a script. */
export function isShell(text: string): text is Shell {
  return SHELLS.some((shell) => shell === text);
}

/** Returns the script for `shell`. */
export function completionScript(shell: Shell, commands: readonly CompletedCommand[]): string {
  switch (shell) {
    case "bash":
      return bash(commands);
    case "zsh":
      // zsh runs bash's completions as they are.
      return `autoload -Uz bashcompinit && bashcompinit\n${bash(commands)}`;
    case "fish":
      return fish(commands);
    case "powershell":
      return powershell(commands);
  }
}

function wordsOf({ commands, options }: CompletedCommand): string {
  return [...commands, ...options].join(" ");
}

function bash(commands: readonly CompletedCommand[]): string {
  const cases = commands.map((command) =>
    `    "${command.path}") words="${wordsOf(command)}"; break ;;`
  );
  return `_talos() {
  local path="" word words="" i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="\${COMP_WORDS[i]}"
    [ "$word" = "--" ] && return
    case "$word" in -*) ;; *) path="\${path:+$path }$word" ;; esac
  done
  while :; do
    case "$path" in
${cases.map((line) => `  ${line}`).join("\n")}
    esac
    case "$path" in *" "*) path="\${path% *}" ;; *) path="" ;; esac
  done
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _talos talos`;
}

function fish(commands: readonly CompletedCommand[]): string {
  const top = commands.find(({ path }) => path === "")?.commands ?? [];
  const lines = commands.flatMap(({ path, commands, options }) => {
    const [first, second] = path.split(" ");
    const below = commands.length === 0
      ? ""
      : ` && not __fish_seen_subcommand_from ${commands.join(" ")}`;
    const when = path === ""
      ? `not __fish_seen_subcommand_from ${top.join(" ")}`
      : `__fish_seen_subcommand_from ${first}` +
        (second === undefined ? below : ` && __fish_seen_subcommand_from ${second}`);
    return [
      ...(commands.length === 0
        ? []
        : [`complete -c talos -f -n "${when}" -a "${commands.join(" ")}"`]),
      ...options.map((option) => `complete -c talos -n "${when}" -l ${option.replace(/^--/, "")}`),
    ];
  });
  return lines.join("\n");
}

function powershell(commands: readonly CompletedCommand[]): string {
  const entries = commands.map((command) => {
    const words = wordsOf(command).split(" ").map((word) => `'${word}'`).join(", ");
    return `    '${command.path}' = @(${words})`;
  });
  return `Register-ArgumentCompleter -Native -CommandName talos -ScriptBlock {
  param($word, $ast, $position)
  $known = @{
${entries.join("\n")}
  }
  $path = @($ast.CommandElements | Select-Object -Skip 1 | ForEach-Object { "$_" } |
    Where-Object { $_ -notlike '-*' -and $_ -ne $word })
  while ($path.Count -gt 0 -and -not $known.ContainsKey($path -join ' ')) {
    $path = @($path | Select-Object -SkipLast 1)
  }
  $known[$path -join ' '] | Where-Object { $_ -like "$word*" }
}`;
}
