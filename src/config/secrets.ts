import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeFolder } from "./folders.ts";
import { secretText } from "./secret-text.ts";
import type { Settings } from "./settings.ts";
import { readText, textOf } from "./text-file.ts";

/** Stores generated secrets in the same store as the keys. */
export interface SecretStore {
  /** Returns the stored secret, or stores and returns `fresh`. `place` says where it is stored. */
  getOrCreate(name: string, fresh: string): Promise<{ readonly value: string; readonly place: string }>;
  /** The stored secret; undefined if there is none. */
  find(name: string): Promise<string | undefined>;
}

/** Called when no setting names a secret, so that a generated one is used: a new one, or one that was stored before. */
export type OnUnsetSecret = (
  name: string,
  stored: { readonly place: string; readonly isNew: boolean },
) => void;

/** Stores secrets in files of `DATA_DIR` that only their owner can read. */
export function createFileKeeper(dataDir: string): SecretStore {
  return {
    async getOrCreate(name, fresh) {
      makeFolder(dataDir, 0o700);
      const place = join(dataDir, name);
      try {
        writeFileSync(place, `${fresh}\n`, { mode: 0o600, flag: "wx" });
        return { value: fresh, place };
      } catch (error) {
        if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
        return { value: secretText(readText(place)), place };
      }
    },
    find: async (name) => textOf(join(dataDir, name))?.trim(),
  };
}

/** A generated signing secret, if the settings name none. Validation requires one in production and in a fleet. */
export function madeJwtSecret(keeper: SecretStore, onUnset: OnUnsetSecret): Promise<string> {
  return loadOrGenerateSecret("JWT_SECRET", keeper, onUnset);
}

/** The secrets that hash V1 keys, the current one first. */
export async function keyHashSecrets(
  settings: Settings,
  keeper: SecretStore,
  onUnset: OnUnsetSecret,
): Promise<[string, ...string[]]> {
  const current =
    settings.KEY_HASH_SECRET ?? (await loadOrGenerateSecret("KEY_HASH_SECRET", keeper, onUnset));
  return [current, ...(settings.KEY_HASH_SECRET_PREVIOUS ?? [])];
}

/** The secrets of an instance, except those that sign. Secrets that the settings do not name are generated and stored. */
export interface Secrets {
  /** Hash V1 keys. The current one comes first. */
  readonly keyHashSecrets: [string, ...string[]];
  /** Seals the audit chain. */
  readonly auditKey: string;
  /** The first credentials of operators. Empty if they are switched off. */
  readonly adminTokens: readonly string[];
}

export async function readSecrets(
  settings: Settings,
  keeper: SecretStore,
  onUnset: OnUnsetSecret,
): Promise<Secrets> {
  const { AUDIT_KEY, ADMIN_TOKEN } = settings;
  return {
    keyHashSecrets: await keyHashSecrets(settings, keeper, onUnset),
    auditKey: AUDIT_KEY ?? (await loadOrGenerateSecret("AUDIT_KEY", keeper, onUnset)),
    adminTokens:
      ADMIN_TOKEN === "off"
        ? []
        : (ADMIN_TOKEN ?? [await loadOrGenerateSecret("ADMIN_TOKEN", keeper, onUnset)]),
  };
}

async function loadOrGenerateSecret(
  name: string,
  keeper: SecretStore,
  onUnset: OnUnsetSecret,
): Promise<string> {
  const fresh = randomBytes(32).toString("base64url");
  const { value, place } = await keeper.getOrCreate(name.toLowerCase(), fresh);
  onUnset(name, { place, isNew: value === fresh });
  return value;
}
