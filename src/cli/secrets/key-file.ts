import {
  closeSync,
  existsSync,
  fchownSync,
  fsyncSync,
  openSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";
import { z } from "zod";
import { textOf } from "../../config/text-file.ts";
import { parseKeySet } from "../../jwt/key-set.ts";
import type { KeyEntry, RotationResult } from "./key-rotation.ts";

const fileSchema = z.looseObject({
  keys: z.array(z.looseObject({ kid: z.string(), alg: z.string(), kty: z.string() })),
});

/**
 * Makes a move in a JWK Set file: nobody else at the same time, whole or not at all, and readable by its owner alone. A
 * file that no instance would take up is not edited, and none is left behind. What else stands in it stays.
 */
export async function editKeyFile(
  path: string,
  move: (keys: readonly KeyEntry[]) => RotationResult,
): Promise<RotationResult> {
  // A link stays one: what it leads to is replaced.
  const file = existsSync(path) ? realpathSync(path) : path;
  const lock = `${file}.lock`;
  if (!takeLock(lock)) {
    const told = `${lock} is there: another \`latchkey secrets\` is at work; remove it if none is`;
    return { kind: "refused", message: told };
  }
  try {
    const read = await readKeyFile(file);
    if (!read.ok) return { kind: "refused", message: read.problems.join("\n") };
    const moved = move(read.set.keys);
    if (moved.kind !== "changed") return moved;
    const text = `${JSON.stringify({ ...read.set, keys: moved.keys }, undefined, 2)}\n`;
    const problems = await problemsOf(file, text);
    if (problems.length > 0) return { kind: "refused", message: problems.join("\n") };
    replaceFile(file, text);
    return moved;
  } finally {
    rmSync(lock, { force: true });
  }
}

export type KeyFileResult =
  | { readonly ok: true; readonly set: { readonly keys: readonly KeyEntry[] } }
  | { readonly ok: false; readonly problems: readonly string[] };

/** The keys of a file; none where there is no file yet. */
export async function readKeyFile(file: string): Promise<KeyFileResult> {
  if (!existsSync(file)) return { ok: true, set: { keys: [] } };
  const text = textOf(file);
  if (text === undefined) return { ok: false, problems: [`${file}: it cannot be read, or is no UTF-8 text`] };
  const problems = await problemsOf(file, text);
  return problems.length > 0
    ? { ok: false, problems }
    : { ok: true, set: fileSchema.parse(JSON.parse(text)) };
}

async function problemsOf(file: string, text: string): Promise<readonly string[]> {
  const parsed = await parseKeySet(text, () => undefined);
  return parsed.ok ? [] : parsed.problems.map((problem) => `${file}: ${problem}`);
}

function takeLock(lock: string): boolean {
  try {
    writeFileSync(lock, `${process.pid}\n`, { flag: "wx", mode: 0o600 });
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

function replaceFile(file: string, text: string): void {
  const beside = `${file}.${process.pid}.new`;
  try {
    const opened = openSync(beside, "wx", 0o600);
    try {
      writeFileSync(opened, text);
      // Whoever could read the old file must be able to read the new one.
      const old = existsSync(file) ? statSync(file) : undefined;
      if (old !== undefined && old.uid !== process.getuid?.()) fchownSync(opened, old.uid, old.gid);
      fsyncSync(opened);
    } finally {
      closeSync(opened);
    }
    renameSync(beside, file);
  } finally {
    rmSync(beside, { force: true });
  }
  const folder = openSync(dirname(file), "r");
  fsyncSync(folder);
  closeSync(folder);
}
