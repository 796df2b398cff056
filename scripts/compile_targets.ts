/**
 * What is built for whom: the executables, the systems, and what an executable of each looks like. Pure.
 */

/** A program that becomes an executable. */
export interface Program {
  /** What the executable is called, without extension. */
  readonly name: string;
  /** Its main module. */
  readonly main: string;
  /** What it may do, baked in. */
  readonly permissions: readonly string[];
}

/**
 * Both programs. None may load native libraries or import code from the network, and none asks: a
 * question on the terminal of an agent would hang it. `talos` starts the programs that its user names,
 * which is everything in the end; `talos-server` starts none.
 */
export const PROGRAMS: readonly Program[] = [
  {
    name: "talos",
    main: "main.ts",
    permissions: [
      "--no-prompt",
      "--allow-read",
      "--allow-write",
      "--allow-net",
      "--allow-env",
      "--allow-sys",
      "--allow-run",
    ],
  },
  {
    name: "talos-server",
    main: "registry/main.ts",
    permissions: [
      "--no-prompt",
      "--allow-read",
      "--allow-write",
      "--allow-net",
      "--allow-env",
      "--allow-sys=uid,networkInterfaces",
    ],
  },
];

/** How an executable file begins. */
export type ExecutableFormat = "ELF x64" | "ELF arm64" | "Mach-O x64" | "Mach-O arm64" | "PE x64";

/** A system to build for. */
export interface Target {
  /** Its name, as Rust and Deno write it. */
  readonly triple: string;
  /** What its executables look like. */
  readonly format: ExecutableFormat;
  /** Behind every executable's name. */
  readonly extension: "" | ".exe";
  /** The npm package that holds a Deno executable for it. */
  readonly standIn: string;
}

/** Every system that is built for. */
export const TARGETS: readonly Target[] = [
  {
    triple: "x86_64-unknown-linux-gnu",
    format: "ELF x64",
    extension: "",
    standIn: "@deno/linux-x64-glibc",
  },
  {
    triple: "aarch64-unknown-linux-gnu",
    format: "ELF arm64",
    extension: "",
    standIn: "@deno/linux-arm64-glibc",
  },
  {
    triple: "x86_64-apple-darwin",
    format: "Mach-O x64",
    extension: "",
    standIn: "@deno/darwin-x64",
  },
  {
    triple: "aarch64-apple-darwin",
    format: "Mach-O arm64",
    extension: "",
    standIn: "@deno/darwin-arm64",
  },
  {
    triple: "x86_64-pc-windows-msvc",
    format: "PE x64",
    extension: ".exe",
    standIn: "@deno/win32-x64",
  },
];

const ELF = 0x7f454c46;
const MACH_O_64 = 0xcffaedfe; // as its bytes lie in the file
const MZ = 0x4d5a;
const PE = 0x50450000;
const ELF_MACHINES: ReadonlyMap<number, ExecutableFormat> = new Map([
  [0x3e, "ELF x64"],
  [0xb7, "ELF arm64"],
]);
const MACH_O_CPUS: ReadonlyMap<number, ExecutableFormat> = new Map([
  [0x01000007, "Mach-O x64"],
  [0x0100000c, "Mach-O arm64"],
]);

/** Returns what kind of executable begins with `head`, its first kilobyte; null when it is none of ours. */
export function executableFormat(head: Uint8Array): ExecutableFormat | null {
  if (head.length < 64) return null;
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (view.getUint32(0) === ELF) return ELF_MACHINES.get(view.getUint16(18, true)) ?? null;
  if (view.getUint32(0) === MACH_O_64) return MACH_O_CPUS.get(view.getUint32(4, true)) ?? null;
  if (view.getUint16(0) !== MZ) return null;
  const at = view.getUint32(0x3c, true);
  if (at + 6 > head.length || view.getUint32(at) !== PE) return null;
  return view.getUint16(at + 4, true) === 0x8664 ? "PE x64" : null;
}

/** Returns how many bytes `deno compile` says it embeds; null when it does not say. */
export function embeddedBytes(output: string): number | null {
  const [, amount, unit] = /^Files: ([\d.]+)(B|KB|MB)$/m.exec(output) ?? [];
  if (amount === undefined) return null;
  const scale = unit === "MB" ? 1024 * 1024 : unit === "KB" ? 1024 : 1;
  return Math.round(Number(amount) * scale);
}

/** Tells whether `deno compile` failed for want of its runtime, which it downloads. */
export function lacksRuntime(output: string): boolean {
  return /Setting up base binary|Download\S* https:\/\/dl\.deno\.land/.test(output);
}
