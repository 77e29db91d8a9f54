import { readRedisUrl } from "./redis-url.ts";
import type { SettingName, Settings } from "./settings.ts";
import { SETTINGS } from "./settings.ts";

const OF_REDIS: ReadonlySet<SettingName> = new Set([
  "REDIS_URL",
  "REDIS_PASSWORD",
  "REDIS_SENTINEL_PASSWORD",
]);

/** A secret, and the setting that contains it. */
export interface NamedSecret {
  readonly name: SettingName;
  readonly secret: string;
}

/** Every secret in the settings, as it is used: each item of a list, the password of a URL, the credential of a header. */
export function namedSecrets(settings: Settings): readonly NamedSecret[] {
  const { REDIS_URL: _, ...others } = settings;
  const named = Object.entries(others).flatMap(([name, value]) =>
    isSecret(name) && value !== "off" ? secretsIn(value).map((secret) => ({ name, secret })) : [],
  );
  const password = settings.REDIS_PASSWORD === undefined ? passwordOf(settings.REDIS_URL) : undefined;
  return password === undefined ? named : [...named, { name: "REDIS_URL", secret: password }];
}

/** A sentence for each value that is used twice. It never contains the value. */
export function reuseProblems(settings: Settings): readonly string[] {
  const namesOf = Map.groupBy(namedSecrets(settings), ({ secret }) => comparable(secret));
  return [...namesOf.values()].flatMap((uses) => {
    if (uses.length === 1) return [];
    const names = [...new Set(uses.map(({ name }) => name))];
    // Sentinels hold the data nodes' password anyway, so the two are often the same.
    if (uses.length === 2 && names.every((name) => OF_REDIS.has(name))) return [];
    const [last, ...before] = names.toReversed();
    return before.length === 0
      ? [`${last} has one value twice: leave one out`]
      : [`${before.toReversed().join(", ")} and ${last} have the same value: give each its own`];
  });
}

/**
 * Returns a function to call for each secret of a `JWT_KEYS_FILE`, passed as one character per byte. It returns a problem if the
 * secret was used before: in the file, or in a setting as raw bytes or base64.
 */
export function createReuseCheck(settings: Settings): (bytes: string) => string | undefined {
  const known = new Map<string, string>();
  for (const { name, secret } of namedSecrets(settings))
    for (const bytes of [Buffer.from(comparable(secret)), Buffer.from(comparable(secret), "base64")])
      known.set(bytes.toString("latin1"), name);
  return (bytes) => {
    const of = known.get(bytes);
    known.set(bytes, "another key of it");
    return of && `is used twice, in JWT_KEYS_FILE and as ${of}`;
  };
}

/** White space around a secret does not make it another secret. */
function comparable(secret: string): string {
  return secret.trim();
}

function isSecret(name: string): name is SettingName {
  return Object.entries(SETTINGS).some(([known, setting]) => known === name && "secret" in setting);
}

function secretsIn(value: unknown): readonly string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) return value.filter((item) => typeof item === "string");
  // Headers for a collector, such as `Bearer <credential>`.
  return Object.values(Object(value)).flatMap((header) =>
    typeof header === "string" ? [header.slice(header.lastIndexOf(" ") + 1)] : [],
  );
}

function passwordOf(url: string | undefined): string | undefined {
  const read = url === undefined ? undefined : readRedisUrl(url);
  return read?.ok ? read.place.password : undefined;
}

/** The text of every secret that is set. No output may contain it. */
export function secretTexts(settings: Settings): readonly string[] {
  const texts = Object.entries(SETTINGS).flatMap(([name, setting]) => {
    const value = "secret" in setting ? Object.getOwnPropertyDescriptor(settings, name)?.value : undefined;
    const one = typeof value === "object" ? Object.values(value) : (value ?? []);
    return [one].flat().map(String);
  });
  const password = passwordOf(settings.REDIS_URL);
  return password === undefined ? texts : [...texts, password];
}
