import { errorMessage } from "../core/error-message.ts";
import { namesRedis, redisConflicts } from "./redis-place.ts";
import { secretText } from "./secret-text.ts";
import { settingProblems } from "./setting-problems.ts";
import type { Settings } from "./settings.ts";
import { SETTINGS, STORE_SETTING_NAMES } from "./settings.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export type ConfigResult =
  | {
      readonly ok: true;
      readonly settings: Settings;
      /** Variables whose secret has white space around it, which is not part of the secret. */
      readonly unclean: readonly string[];
    }
  /** Every problem, in a sentence that never contains a secret. */
  | { readonly ok: false; readonly problems: readonly string[] };

/** Reads every setting, or returns every problem. */
export function readConfig(environment: Environment, readFile: (path: string) => string): ConfigResult {
  return read(environment, readFile, settingProblems);
}

/** The same with the settings of a store alone, for a command that opens a store without being an instance. */
export function readStoreConfig(environment: Environment, readFile: (path: string) => string): ConfigResult {
  const isOfStore = (name: string) => STORE_SETTING_NAMES.includes(name.replace(/_FILE$/, ""));
  const ofStore = Object.entries(environment).filter(([name]) => isOfStore(name));
  return read(Object.fromEntries(ofStore), readFile, redisConflicts);
}

function read(
  environment: Environment,
  readFile: (path: string) => string,
  problemsOf: (settings: Settings) => readonly string[],
): ConfigResult {
  const problems: string[] = [];
  const values: Record<string, unknown> = {};
  for (const [name, setting] of Object.entries(SETTINGS)) {
    const text =
      ("secret" in setting
        ? secretOf(name, environment, readFile, problems)
        : environment[name] || undefined) ?? ("default" in setting ? setting.default : undefined);
    if (text === undefined) continue;
    const parsed = setting.schema.safeParse(text);
    if (parsed.success) values[name] = parsed.data;
    else problems.push(`${name} ${parsed.error.issues[0]?.message ?? "is not valid"}`);
  }
  if (problems.length > 0) return { ok: false, problems };
  const settings = applyDerivedDefaults(values as unknown as Settings); // Built from the table that defines the type.
  problems.push(...problemsOf(settings));
  if (problems.length > 0) return { ok: false, problems };
  const unclean = Object.entries(SETTINGS).flatMap(([name, setting]) =>
    "secret" in setting && isUnclean(environment[name]) ? [name] : [],
  );
  return { ok: true, settings, unclean };
}

/** A secret's text, from its variable or its file. An empty variable counts as not set. */
function secretOf(
  name: string,
  environment: Environment,
  readFile: (path: string) => string,
  problems: string[],
): string | undefined {
  const direct = environment[name] || undefined;
  const path = environment[`${name}_FILE`] || undefined;
  if (direct === undefined && path === undefined) return undefined;
  if (direct !== undefined && path !== undefined) {
    problems.push(`${name} and ${name}_FILE are both set: give one`);
    return undefined;
  }
  try {
    const secret = secretText(direct ?? readFile(path ?? ""));
    // A requested secret that is missing must not be replaced by a generated one.
    if (secret === "")
      problems.push(path === undefined ? `${name} is blank` : `${name}_FILE is empty: ${path}`);
    return secret || undefined;
  } catch (error) {
    problems.push(`${name}_FILE cannot be read: ${errorMessage(error)}`);
    return undefined;
  }
}

function isUnclean(text = ""): boolean {
  return text !== text.trim();
}

/** Defaults that depend on other settings. */
function applyDerivedDefaults(settings: Settings): Settings {
  const STORE = settings.STORE ?? (namesRedis(settings) ? "redis" : "embedded");
  if (settings.OPERATOR_LISTEN !== undefined || settings.ENVIRONMENT === "development")
    return { ...settings, STORE };
  return { ...settings, STORE, OPERATOR_LISTEN: { kind: "tcp", host: "127.0.0.1", port: 8001 } };
}
