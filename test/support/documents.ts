import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A block of code, which may be indented as part of a list. */
const BLOCK = /^( *)```\w*\n([\s\S]*?)^\1```/gm;

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** The paths of all documents in the repository. */
export const DOCUMENTS: readonly string[] = [
  ...readdirSync(ROOT),
  ...readdirSync(join(ROOT, "docs"), { recursive: true, encoding: "utf8" }).map((name) => `docs/${name}`),
  "bench/README.md",
  "deploy/helm/latchkey/README.md",
].filter((name) => name.endsWith(".md"));

export function readDocument(path: string): string {
  return readFileSync(join(ROOT, path), "utf8");
}

export interface Code {
  readonly text: string;
  /** True for a block, whose continued lines are joined. False for a piece in backticks within a sentence. */
  readonly isBlock: boolean;
}

/** The code in a document: blocks, and pieces in backticks. */
export function codeOf(text: string): readonly Code[] {
  const blocks = [...text.matchAll(BLOCK)].map(([, indent = "", block = ""]) =>
    block.replaceAll(new RegExp(`^${indent}`, "gm"), "").replaceAll(/\\\n\s*/g, " "),
  );
  const pieces = [...text.replaceAll(BLOCK, "").matchAll(/`([^`\n]+)`/g)].map(([, piece = ""]) => piece);
  return [
    ...blocks.map((block) => ({ text: block, isBlock: true })),
    ...pieces.map((piece) => ({ text: piece, isBlock: false })),
  ];
}

/** The anchors of all headings, in GitHub's form. */
export function anchorsOf(text: string): ReadonlySet<string> {
  const prose = text.replaceAll(BLOCK, "");
  const anchors = [...prose.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replaceAll(/[^\p{Letter}\p{Number}_ -]/gu, "")
      .replaceAll(" ", "-"),
  );
  return new Set(anchors);
}
