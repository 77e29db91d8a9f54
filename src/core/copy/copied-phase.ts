import type { CopiedPhase, PhaseRow } from "./ports.ts";

/** How a target stores which phase a copy has brought. */
export function encodeCopiedPhase({ state: { version }, copied }: PhaseRow): string {
  return `${copied?.sourceVersion ?? version} ${version}`;
}

export function decodeCopiedPhase(text: string): CopiedPhase {
  const [sourceVersion = 0, version = sourceVersion] = text.split(" ").map(Number);
  return { sourceVersion, version };
}
