import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const BLOCK = /^```\w*\n([\s\S]*?)^```/gm;

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Every document for people: their paths in the repository. */
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
  /** A block, with continued lines joined; else a piece in backticks within a sentence. */
  readonly isBlock: boolean;
}

/** What is written as code. */
export function codeOf(text: string): readonly Code[] {
  const blocks = [...text.matchAll(BLOCK)].map(([, block = ""]) => block.replaceAll(/\\\n\s*/g, " "));
  const pieces = [...text.replaceAll(BLOCK, "").matchAll(/`([^`\n]+)`/g)].map(([, piece = ""]) => piece);
  return [
    ...blocks.map((block) => ({ text: block, isBlock: true })),
    ...pieces.map((piece) => ({ text: piece, isBlock: false })),
  ];
}

/** A heading's anchor, as GitHub makes it. */
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
