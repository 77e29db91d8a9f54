import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Settings } from "./settings.ts";
import type { Log } from "./telemetry/log.ts";

/** A secret, and whether this start has made it. */
interface MadeSecret {
  readonly value: string;
  readonly file: string;
  readonly made: boolean;
}

/** In development a missing secret is made once and kept in `DATA_DIR` (mode 0600), so that keys survive a restart. */
function developmentSecret(dataDir: string, name: string): MadeSecret {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const file = join(dataDir, name);
  try {
    const value = randomBytes(32).toString("base64url");
    writeFileSync(file, `${value}\n`, { mode: 0o600, flag: "wx" });
    return { value, file, made: true };
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error;
    return { value: readFileSync(file, "utf8").trim(), file, made: false };
  }
}

/** The secret that signs. Production has checked that it is there. */
export function jwtSecret(settings: Settings, log: Log): string {
  return settings.JWT_SECRET ?? madeSecret(settings, "JWT_SECRET", log);
}

/** Operators' first credentials; none when they are switched off. */
export function adminTokens(settings: Settings, log: Log): readonly string[] {
  if (settings.ADMIN_TOKEN === "off") return [];
  return settings.ADMIN_TOKEN ?? [madeSecret(settings, "ADMIN_TOKEN", log)];
}

function madeSecret(settings: Settings, name: string, log: Log): string {
  const { value, file, made } = developmentSecret(settings.DATA_DIR, name.toLowerCase());
  log.warn(
    { file },
    made
      ? `${name} is not set: one was made and is kept in a file`
      : `${name} is not set: the one in the file is used`,
  );
  return value;
}
