import type { Command } from "commander";
import type { Settings } from "../../config/settings.ts";
import { errorMessage } from "../../core/error-message.ts";
import { secretKid } from "../../jwt/key-ring.ts";
import { keyFirstSeen } from "../../server/key-ages.ts";
import { openSecrets } from "../../server/stores.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { formatTable } from "../table.ts";
import { readKeyFile } from "./key-file.ts";
import type { KeyEntry } from "./key-rotation.ts";
import { stateOf } from "./key-rotation.ts";
import { settingsOf } from "./session.ts";

const DAY_MS = 86_400_000;

interface Row {
  readonly kid: string;
  readonly alg: string;
  readonly where: string;
  readonly state: string;
  readonly since?: string | undefined;
  /** RFC 3339. Undefined if neither the file nor the store has the time. */
  readonly added_at?: string | undefined;
}

/** `latchkey secrets list`: the keys that sign or verify, and their age. */
export function addList(secrets: Command, io: Io, finish: (exitCode: number) => void): void {
  secrets
    .command("list")
    .description("list the names and ages of the keys that sign or verify; shows no secret")
    .option("--json", "print one JSON document per line")
    .action(async ({ json }: { readonly json?: true }) => {
      const settings = settingsOf(io);
      const file = settings?.JWT_KEYS_FILE;
      const read = file === undefined ? undefined : await readKeyFile(file);
      if (read?.ok === false) io.printError(read.problems.join("\n"));
      if (settings === undefined || read?.ok === false)
        return finish(settings === undefined ? EXIT.usageError : EXIT.failed);
      const rows = await withAges(rowsOf(settings, read?.set.keys ?? []), settings, io);
      if (json) for (const row of rows) io.print(JSON.stringify(row));
      else if (rows.length === 0) io.print("No keys.");
      else
        io.print(
          formatTable(
            ["kid", "alg", "where", "state", "since", "age"],
            rows.map((row) => [row.kid, row.alg, row.where, row.state, row.since ?? "-", ageOf(row)]),
          ),
        );
      return finish(EXIT.done);
    });
}

function rowsOf(
  { JWT_SECRET, JWT_SECRET_PREVIOUS = [] }: Settings,
  keys: readonly KeyEntry[],
): readonly Row[] {
  const known = { keys, secretSigns: JWT_SECRET !== undefined, nowMs: Date.now() };
  const row = (secret: string, where: string, state: string): Row => ({
    kid: secretKid(secret),
    alg: "HS256",
    where,
    state,
  });
  return [
    ...(JWT_SECRET === undefined ? [] : [row(JWT_SECRET, "JWT_SECRET", "signs")]),
    ...JWT_SECRET_PREVIOUS.map((secret) => row(secret, "JWT_SECRET_PREVIOUS", "verifies")),
    ...keys.map((key) => {
      const { kid, alg, added_at, signs_from, signed_until } = key;
      const since = signed_until ?? signs_from ?? added_at;
      return { kid, alg, where: "JWT_KEYS_FILE", state: stateOf(key, known), since, added_at };
    }),
  ];
}

/** Adds the times from the store. For a key without `added_at`, the store has the time when an instance first had it. */
async function withAges(rows: readonly Row[], settings: Settings, io: Io): Promise<readonly Row[]> {
  if (rows.every(({ added_at }) => added_at !== undefined)) return rows;
  try {
    const { secrets, close } = await openSecrets(settings);
    try {
      return await Promise.all(
        rows.map(async (row) => ({
          ...row,
          added_at: row.added_at ?? (await keyFirstSeen(row.kid, secrets)),
        })),
      );
    } finally {
      await close();
    }
  } catch (error) {
    io.printError(
      `latchkey: the store is unavailable, so the age of some keys is unknown: ${errorMessage(error)}`,
    );
    return rows;
  }
}

function ageOf({ added_at }: Row): string {
  const ms = Date.now() - Date.parse(added_at ?? "");
  return Number.isNaN(ms) ? "-" : `${Math.max(0, Math.floor(ms / DAY_MS))} d`;
}
