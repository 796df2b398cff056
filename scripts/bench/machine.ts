/** Where a measurement was made: what a reader needs to judge it, and nothing that names the machine. */

/** The facts of a machine that matter to the figures. */
export interface Machine {
  /** The model of the CPU, as the system names it. */
  readonly cpu: string;
  /** How many of its cores this process may use. */
  readonly cores: number;
  /** `linux x86_64` and the like, with the kernel's release. */
  readonly os: string;
  /** The version of Deno. */
  readonly deno: string;
}

/** Returns the facts of this machine. */
export function thisMachine(): Machine {
  const { os, arch } = Deno.build;
  return {
    cpu: cpuModel(),
    cores: navigator.hardwareConcurrency,
    os: `${os} ${arch} ${Deno.osRelease()}`,
    deno: Deno.version.deno,
  };
}

function cpuModel(): string {
  if (Deno.build.os !== "linux") return "unknown";
  try {
    const model = /^model name\s*:\s*(.+)$/m.exec(Deno.readTextFileSync("/proc/cpuinfo"))?.[1];
    return model?.trim() ?? "unknown";
  } catch {
    return "unknown"; // some sandboxes hide it
  }
}
