import { setImmediate as nextTurn } from "node:timers/promises";
import { z } from "zod";
import { hasThreeParts } from "../../core/decision/credential.ts";
import type { CallOrigin } from "../../core/keys/operation-audit.ts";
import type { LegacyEntry } from "../../core/legacy/import-entry.ts";
import type { ImportDeps, ImportReport, RejectedLine } from "../../core/legacy/legacy-import.ts";
import { importLegacyKeys } from "../../core/legacy/legacy-import.ts";
import { parseStrictJson } from "../http/json-body.ts";
import { keyName, roleName } from "../keys/schemas.ts";

const instant = z.iso.datetime({ offset: true }).transform((text) => Math.floor(Date.parse(text) / 1000));

const importLine = z
  .strictObject({
    api_key: z
      .string()
      .regex(/^[A-Za-z0-9\-._~+/]{8,512}=*$/, "has a form that a request cannot carry")
      .refine((key) => !hasThreeParts(key), "looks like a JWT")
      .optional(),
    api_key_hash: z
      .string()
      .regex(/^[0-9A-Fa-f]{64}$/, "is not a SHA-256 in hex")
      .optional(),
    name: keyName.default("imported"),
    role: roleName,
    owner: z
      .string()
      .regex(/^[A-Za-z0-9_.@/-]{1,128}$/, "is not the name of an owner")
      .optional(),
    created_at: instant.optional(),
    expires_at: instant.optional(),
  })
  .refine((line) => (line.api_key === undefined) !== (line.api_key_hash === undefined), {
    message: "needs api_key or api_key_hash, exactly one of them",
  });

/** How many lines are imported before the event loop runs other work: a few milliseconds. */
const PORTION_LINES = 100;

/**
 * Imports the V1 keys that the lines of NDJSON describe, in portions, so that Checks run in between. The report names
 * rejected lines by number, from `firstLine` on, and never contains a key.
 */
export async function importLines(
  deps: ImportDeps,
  text: string,
  { firstLine, dryRun }: { readonly firstLine: number; readonly dryRun: boolean },
  origin: CallOrigin,
): Promise<ImportReport> {
  const invalid: RejectedLine[] = [];
  const portions = async function* () {
    for (const lines of portionsOf(text, firstLine)) {
      const parsed = lines.map(({ line, number }) => parseLine(line, number));
      const details = parsed.flatMap((entry, at) =>
        typeof entry === "string" ? [{ line: lines[at]?.number ?? 0, detail: entry }] : [],
      );
      invalid.push(...details);
      yield parsed.filter((entry) => typeof entry !== "string");
      await nextTurn();
    }
  };
  const report = await importLegacyKeys(deps, portions(), origin, dryRun);
  return { ...report, refused: [...invalid, ...report.refused].sort((a, b) => a.line - b.line) };
}

interface NumberedLine {
  readonly line: string;
  readonly number: number;
}

/** The lines that are not blank, in portions. */
function* portionsOf(text: string, firstLine: number): Generator<readonly NumberedLine[]> {
  let portion: NumberedLine[] = [];
  let number = firstLine;
  for (let from = 0; from <= text.length; number++) {
    const end = text.indexOf("\n", from);
    const line = text.slice(from, end === -1 ? text.length : end);
    from = end === -1 ? text.length + 1 : end + 1;
    if (line.trim() !== "") portion.push({ line, number });
    if (portion.length < PORTION_LINES) continue;
    yield portion;
    portion = [];
  }
  yield portion;
}

function parseLine(text: string, line: number): LegacyEntry | string {
  const json = parseStrictJson(text);
  if (!json.ok) return json.fault;
  const parsed = importLine.safeParse(json.value);
  if (!parsed.success) {
    return parsed.error.issues
      .map(({ path, message }) => [path.join("."), message].filter((part) => part !== "").join(": "))
      .join("; ");
  }
  const { api_key, api_key_hash, name, role, owner, created_at, expires_at } = parsed.data;
  return {
    line,
    name,
    role,
    ...(api_key !== undefined && { key: api_key }),
    ...(api_key_hash !== undefined && { sha256Hex: api_key_hash }),
    ...(owner !== undefined && { owner }),
    ...(created_at !== undefined && { createdAt: created_at }),
    ...(expires_at !== undefined && { expiresAt: expires_at }),
  };
}
