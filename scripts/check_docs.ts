/**
 * Fails when something exported has no docstring, when a module does not begin with a header comment,
 * or when a document links to a file that is not there.
 */

// deno-lint-ignore-file no-console -- printing is what this script is for.

import { ROOT, typescriptFiles } from "./source_files.ts";

const DOCUMENTS = ["README.md", "SECURITY.md", "CHANGELOG.md"];

async function undocumented(files: readonly string[]): Promise<string[]> {
  const { stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["doc", "--lint", ...files],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
    stdout: "null",
    stderr: "piped",
  }).output();
  const text = new TextDecoder().decode(stderr);
  const finding = /error\[missing-jsdoc\][^\n]*\n\s*-->\s*(\S+)/g;
  return [...text.matchAll(finding)].map(([, place = ""]) =>
    `${place.replace(ROOT.pathname, "")}: an export has no docstring`
  );
}

async function headless(files: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const file of files) {
    const source = await Deno.readTextFile(new URL(file, ROOT));
    if (!source.startsWith("/**")) found.push(`${file}:1: the module has no header comment`);
  }
  return found;
}

async function deadLinks(): Promise<string[]> {
  const documents = [...DOCUMENTS];
  for await (const entry of Deno.readDir(new URL("docs/", ROOT))) {
    if (entry.isFile && entry.name.endsWith(".md")) documents.push(`docs/${entry.name}`);
  }
  const found: string[] = [];
  for (const document of documents) {
    const base = new URL(document, ROOT);
    const text = await Deno.readTextFile(base);
    for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^(?:https?:|mailto:|#)/.test(target)) continue;
      const url = new URL(target.split("#")[0]!, base);
      const exists = await Deno.stat(url).then(() => true, () => false);
      if (!exists) found.push(`${document}: the link to ${target} leads nowhere`);
    }
  }
  return found;
}

async function main(): Promise<number> {
  const shipped = [
    ...await typescriptFiles("lib"),
    ...await typescriptFiles("registry"),
  ];
  const all = [...shipped, "main.ts", ...await typescriptFiles("scripts")];
  const findings = [
    ...await undocumented(shipped),
    ...await headless(all),
    ...await deadLinks(),
  ];
  for (const finding of findings) console.error(finding);
  console.log(`docs: ${all.length} files, ${findings.length} findings`);
  return findings.length === 0 ? 0 : 1;
}

if (import.meta.main) Deno.exit(await main());
