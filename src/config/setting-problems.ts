import { certificateProblem } from "./certificates.ts";
import type { TlsListener } from "./listener-certificate.ts";
import { certificateFiles } from "./listener-certificate.ts";
import type { Listen } from "./parsers.ts";
import { namesRedis, redisConflicts, redisPlace } from "./redis-place.ts";
import { reuseProblems } from "./reused-secrets.ts";
import type { SettingName, Settings } from "./settings.ts";
import { weakness } from "./weak-secret.ts";

/** Problems that only show when all settings are known, a sentence each. */
export function settingProblems(settings: Settings): readonly string[] {
  return [
    ...conflictingSettings(settings),
    ...signInProblems(settings),
    ...tlsProblems("GRPC", settings),
    ...tlsProblems("HTTP", settings),
    ...tlsProblems("AUTH", settings),
    ...(settings.ENVIRONMENT === "production" ? productionProblems(settings) : []),
  ];
}

const TLS_PART = { cert: "CERT", key: "KEY", clientCa: "CLIENT_CA" } as const;

/** Half a pair must not mean clear text. */
function tlsProblems(listener: TlsListener, settings: Settings): string[] {
  const given = (["CERT", "KEY", "CLIENT_CA"] as const).filter(
    (part) => settings[`${listener}_TLS_${part}`] !== undefined,
  );
  const files = certificateFiles(listener, settings);
  if (files === undefined) {
    const names = given.map((part) => `${listener}_TLS_${part}`).join(" and ");
    return given.length === 0 ? [] : [`${names} alone: give ${listener}_TLS_CERT and ${listener}_TLS_KEY`];
  }
  const problem = certificateProblem(files);
  return problem === undefined ? [] : [`${listener}_TLS_${TLS_PART[problem.file]}: ${problem.problem}`];
}

/** Settings that contradict each other in every environment. */
function conflictingSettings(settings: Settings): string[] {
  const { STORE, ENVIRONMENT } = settings;
  const problems = [...workerProblems(settings), ...redisConflicts(settings)];
  if (STORE !== "redis") return problems;
  if (!namesRedis(settings)) problems.push("STORE is redis: set REDIS_URL, REDIS_HOST or REDIS_SENTINELS");
  // Each instance would generate its own secret, and deny the keys of the others.
  if (!namesSigningKeys(settings) && ENVIRONMENT === "development")
    problems.push("JWT_SECRET or JWT_KEYS_FILE is missing: instances that share a Redis must share it");
  return problems;
}

/** Half a configuration must not mean that people cannot sign in. */
function signInProblems(settings: Settings): string[] {
  const { OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET, HOLDER_PAGE } = settings;
  const { OIDC_CONSOLE_REDIRECT_URL: ofConsole, OIDC_KEYS_REDIRECT_URL: ofKeys } = settings;
  const isUsed = ofConsole !== undefined || ofKeys !== undefined;
  const isNamed = OIDC_ISSUER !== undefined && OIDC_CLIENT_ID !== undefined;
  const problems: string[] = [];
  if (
    !isNamed &&
    (isUsed || [OIDC_ISSUER, OIDC_CLIENT_ID, OIDC_CLIENT_SECRET].some((value) => value !== undefined))
  )
    problems.push("sign-in by OpenID Connect needs both OIDC_ISSUER and OIDC_CLIENT_ID");
  if (isNamed && !isUsed)
    problems.push("OIDC_ISSUER has no effect: set OIDC_CONSOLE_REDIRECT_URL or OIDC_KEYS_REDIRECT_URL");
  if (ofKeys !== undefined && HOLDER_PAGE === "off")
    problems.push("OIDC_KEYS_REDIRECT_URL has no effect: set HOLDER_PAGE to on");
  return problems;
}

function workerProblems({ WORKERS, STORE, GRPC_LISTEN }: Settings): string[] {
  const problems: string[] = [];
  if (WORKERS > 1 && STORE !== "redis")
    problems.push(
      `WORKERS is ${WORKERS}: the embedded store serves one process; name a Redis, or leave WORKERS out`,
    );
  if (GRPC_LISTEN.kind === "tcp" && GRPC_LISTEN.port + WORKERS - 1 > 65_535)
    problems.push(`GRPC_LISTEN leaves no ports for ${WORKERS} workers: they use ${WORKERS} ports from it on`);
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
  const listeners = {
    grpc: settings.GRPC_LISTEN,
    http: settings.HTTP_LISTEN,
    operator: settings.OPERATOR_LISTEN,
    auth: settings.AUTH_LISTEN,
  };
  for (const [listener, listen] of Object.entries(listeners)) {
    const allowed = settings.ALLOW_CLEARTEXT?.some((name) => name === listener) ?? false;
    const tls = certificateOf(listener);
    const encrypted = certificateFiles(tls, settings) !== undefined;
    if (listen !== undefined && !isLocal(listen) && !encrypted && !allowed) {
      problems.push(
        `${listener.toUpperCase()}_LISTEN would listen in clear text beyond loopback: keep it on 127.0.0.1, give ${tls}_TLS_CERT and ${tls}_TLS_KEY, or name ${listener} in ALLOW_CLEARTEXT where a mesh encrypts`,
      );
    }
  }
  return problems;
}

/** The operator listener has the certificate of the HTTP listener. */
function certificateOf(listener: string): TlsListener {
  if (listener === "grpc") return "GRPC";
  return listener === "auth" ? "AUTH" : "HTTP";
}

function namesSigningKeys({ JWT_SECRET, JWT_KEYS_FILE }: Settings): boolean {
  return JWT_SECRET !== undefined || JWT_KEYS_FILE !== undefined;
}

function secretProblems(name: SettingName, secrets: readonly string[], required: boolean): string[] {
  if (secrets.length === 0) return required ? [`${name} is missing: production generates no secrets`] : [];
  return secrets.flatMap((secret) => {
    const weak = weakness(secret);
    return weak === undefined ? [] : [`${name} ${weak}: make one with \`openssl rand -base64 32\``];
  });
}

/** Whether only programs on this machine can connect. */
export function isLocal(listen: Listen): boolean {
  return (
    listen.kind === "unix" ||
    listen.host === "localhost" ||
    listen.host === "::1" ||
    /^127\.\d+\.\d+\.\d+$/.test(listen.host)
  );
}
