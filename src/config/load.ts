import { errorMessage } from "../core/error-message.ts";
import type { CertificateFiles } from "./certificates.ts";
import { certificateProblem } from "./certificates.ts";
import type { Listen } from "./parsers.ts";
import { namesRedis, redisConflicts, redisPlace } from "./redis-place.ts";
import { reuseProblems } from "./reused-secrets.ts";
import { secretText } from "./secret-text.ts";
import type { SettingName, Settings } from "./settings.ts";
import { SETTINGS } from "./settings.ts";
import { weakness } from "./weak-secret.ts";

export type Environment = Readonly<Record<string, string | undefined>>;

export type ConfigResult =
  | {
      readonly ok: true;
      readonly settings: Settings;
      /** Variables whose secret has white space around it, which does not belong to it. */
      readonly unclean: readonly string[];
    }
  /** All that is wrong, a sentence each; never a secret's text. */
  | { readonly ok: false; readonly problems: readonly string[] };

/** Reads every setting, or says everything that is wrong with them. */
export function readConfig(environment: Environment, readFile: (path: string) => string): ConfigResult {
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
  const settings = applyDerivedDefaults(values as unknown as Settings); // Built from the very table that the type is made of.
  problems.push(
    ...conflictingSettings(settings),
    ...tlsProblems("GRPC", settings),
    ...tlsProblems("HTTP", settings),
  );
  if (settings.ENVIRONMENT === "production") problems.push(...productionProblems(settings));
  if (problems.length > 0) return { ok: false, problems };
  const unclean = Object.entries(SETTINGS).flatMap(([name, setting]) =>
    "secret" in setting && isUnclean(environment[name]) ? [name] : [],
  );
  return { ok: true, settings, unclean };
}

/** The text of a secret, from its variable or from its file. An empty variable counts as not set. */
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
    // A secret that is asked for and not there must not turn into one that is made.
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

/** The doors that have a certificate of their own: the HTTP one is the operator door's as well. */
export type TlsListener = "GRPC" | "HTTP";

/** Where a door's certificate lies; undefined: it speaks clear text. */
export function certificateFiles(door: TlsListener, settings: Settings): CertificateFiles | undefined {
  const [cert, key] = [settings[`${door}_TLS_CERT`], settings[`${door}_TLS_KEY`]];
  const clientCa = settings[`${door}_TLS_CLIENT_CA`];
  if (cert === undefined || key === undefined) return undefined;
  return { cert, key, ...(clientCa !== undefined && { clientCa }) };
}

const TLS_PART = { cert: "CERT", key: "KEY", clientCa: "CLIENT_CA" } as const;

/** Half a pair must not turn into clear text. */
function tlsProblems(door: TlsListener, settings: Settings): string[] {
  const given = (["CERT", "KEY", "CLIENT_CA"] as const).filter(
    (part) => settings[`${door}_TLS_${part}`] !== undefined,
  );
  const files = certificateFiles(door, settings);
  if (files === undefined) {
    const names = given.map((part) => `${door}_TLS_${part}`).join(" and ");
    return given.length === 0 ? [] : [`${names} alone: give ${door}_TLS_CERT and ${door}_TLS_KEY`];
  }
  const problem = certificateProblem(files);
  return problem === undefined ? [] : [`${door}_TLS_${TLS_PART[problem.file]}: ${problem.problem}`];
}

/** Settings that contradict each other, whatever the environment. */
function conflictingSettings(settings: Settings): string[] {
  const { STORE, ENVIRONMENT } = settings;
  const problems: string[] = [...workerProblems(settings), ...redisConflicts(settings)];
  if (STORE !== "redis") return problems;
  if (!namesRedis(settings))
    problems.push("STORE is redis: REDIS_URL, REDIS_HOST or REDIS_SENTINELS must say which");
  // Each instance would make its own, and refuse the keys of the others.
  if (!namesSigningKeys(settings) && ENVIRONMENT === "development")
    problems.push("JWT_SECRET or JWT_KEYS_FILE is missing: instances that share a Redis must share it");
  return problems;
}

function workerProblems({ WORKERS, STORE, GRPC_LISTEN }: Settings): string[] {
  const problems: string[] = [];
  if (WORKERS > 1 && STORE !== "redis")
    problems.push(
      `WORKERS is ${WORKERS}: the embedded store serves one process; name a Redis, or leave WORKERS out`,
    );
  if (GRPC_LISTEN.kind === "tcp" && GRPC_LISTEN.port + WORKERS - 1 > 65_535)
    problems.push(`GRPC_LISTEN leaves no ports for ${WORKERS} workers: theirs are the ${WORKERS} from it on`);
  return problems;
}

function productionProblems(settings: Settings): string[] {
  const problems = [
    ...secretProblems(
      "JWT_SECRET",
      settings.JWT_SECRET === undefined ? [] : [settings.JWT_SECRET],
      !namesSigningKeys(settings),
    ),
    ...secretProblems("JWT_SECRET_PREVIOUS", settings.JWT_SECRET_PREVIOUS ?? [], false),
    ...secretProblems(
      "KEY_HASH_SECRET",
      settings.KEY_HASH_SECRET === undefined ? [] : [settings.KEY_HASH_SECRET],
      true,
    ),
    ...secretProblems("AUDIT_KEY", settings.AUDIT_KEY === undefined ? [] : [settings.AUDIT_KEY], true),
    ...secretProblems("KEY_HASH_SECRET_PREVIOUS", settings.KEY_HASH_SECRET_PREVIOUS ?? [], false),
    ...(settings.ADMIN_TOKEN === "off"
      ? []
      : secretProblems("ADMIN_TOKEN", settings.ADMIN_TOKEN ?? [], true)),
    ...reuseProblems(settings),
  ];
  if (settings.STORE === "redis" && redisPlace(settings).password === undefined) {
    problems.push("Redis has no password: set REDIS_PASSWORD, or put it into REDIS_URL");
  }
  const doors = {
    grpc: settings.GRPC_LISTEN,
    http: settings.HTTP_LISTEN,
    operator: settings.OPERATOR_LISTEN,
  };
  for (const [door, listen] of Object.entries(doors)) {
    const allowed = settings.ALLOW_CLEARTEXT?.some((name) => name === door) ?? false;
    const tls = door === "grpc" ? "GRPC" : "HTTP";
    const encrypted = certificateFiles(tls, settings) !== undefined;
    if (listen !== undefined && !isLocal(listen) && !encrypted && !allowed) {
      problems.push(
        `${door.toUpperCase()}_LISTEN would listen in clear text beyond loopback: keep it on 127.0.0.1, give ${tls}_TLS_CERT and ${tls}_TLS_KEY, or name ${door} in ALLOW_CLEARTEXT where a mesh encrypts`,
      );
    }
  }
  return problems;
}

function namesSigningKeys({ JWT_SECRET, JWT_KEYS_FILE }: Settings): boolean {
  return JWT_SECRET !== undefined || JWT_KEYS_FILE !== undefined;
}

function secretProblems(name: SettingName, secrets: readonly string[], required: boolean): string[] {
  if (secrets.length === 0)
    return required ? [`${name} is missing: production makes no secrets of its own`] : [];
  return secrets.flatMap((secret) => {
    const weak = weakness(secret);
    return weak === undefined ? [] : [`${name} ${weak}: make one with \`openssl rand -base64 32\``];
  });
}

function isLocal(listen: Listen): boolean {
  return (
    listen.kind === "unix" ||
    listen.host === "localhost" ||
    listen.host === "::1" ||
    /^127\.\d+\.\d+\.\d+$/.test(listen.host)
  );
}
