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
 * Applies one step of a rotation to a JWK Set file, atomically and under a lock. The file becomes readable only by its
 * owner. Other members of the file are kept. Neither edits nor writes a file that an instance would reject.
 */
export async function editKeyFile(
  path: string,
  rotate: (keys: readonly KeyEntry[]) => RotationResult,
): Promise<RotationResult> {
  // Replaces the target of a symbolic link and keeps the link.
  const file = existsSync(path) ? realpathSync(path) : path;
  const lock = `${file}.lock`;
  if (!takeLock(lock)) {
    const message = `${lock} exists: another \`latchkey secrets\` is running; if none is running, remove the file`;
    return { kind: "refused", message };
  }
  try {
    const read = await readKeyFile(file);
    if (!read.ok) return { kind: "refused", message: read.problems.join("\n") };
    const result = rotate(read.set.keys);
    if (result.kind !== "changed") return result;
    const text = `${JSON.stringify({ ...read.set, keys: result.keys }, undefined, 2)}\n`;
    const problems = await problemsOf(file, text);
    if (problems.length > 0) return { kind: "refused", message: problems.join("\n") };
    replaceFile(file, text);
    return result;
  } finally {
    rmSync(lock, { force: true });
  }
}

export type KeyFileResult =
  | { readonly ok: true; readonly set: { readonly keys: readonly KeyEntry[] } }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Reads the keys of a file. A file that does not exist has no keys. */
export async function readKeyFile(file: string): Promise<KeyFileResult> {
  if (!existsSync(file)) return { ok: true, set: { keys: [] } };
  const text = textOf(file);
  if (text === undefined)
    return { ok: false, problems: [`${file}: the file cannot be read, or is not UTF-8 text`] };
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
  const newFile = `${file}.${process.pid}.new`;
  try {
    const opened = openSync(newFile, "wx", 0o600);
    try {
      writeFileSync(opened, text);
      // The owner of the old file must be able to read the new one.
      const old = existsSync(file) ? statSync(file) : undefined;
      if (old !== undefined && old.uid !== process.getuid?.()) fchownSync(opened, old.uid, old.gid);
      fsyncSync(opened);
    } finally {
      closeSync(opened);
    }
    renameSync(newFile, file);
  } finally {
    rmSync(newFile, { force: true });
  }
  const folder = openSync(dirname(file), "r");
  fsyncSync(folder);
  closeSync(folder);
}
