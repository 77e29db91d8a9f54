import type { Reload, Reloadable } from "../config/reloadable.ts";
import { createReloadable } from "../config/reloadable.ts";
import { createReuseCheck } from "../config/reused-secrets.ts";
import type { Settings } from "../config/settings.ts";
import { textOf } from "../config/text-file.ts";
import { weakness } from "../config/weak-secret.ts";
import type { KeyInUse, KeyOrigin } from "../core/keys/signing-rotation.ts";
import type { KeyRing, RingKey } from "./key-ring.ts";
import { createKeyRing, joinKeys, secretKey, secretKid } from "./key-ring.ts";
import { parseKeySet } from "./key-set.ts";

/** The current keys. */
export interface SigningKeys extends Omit<Reloadable<LoadedKeys>, "current"> {
  ring(): KeyRing;
}

export interface LoadedKeys {
  /** The text of `JWT_KEYS_FILE`. */
  readonly text: string | undefined;
  readonly ring: KeyRing;
}

export type OpenedKeys =
  /** `keys` is undefined if the settings name no keys. A secret is generated in that case. */
  | { readonly ok: true; readonly keys: SigningKeys | undefined }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Reads the keys that the settings name. */
export async function openSigningKeys(settings: Settings): Promise<OpenedKeys> {
  const { JWT_SECRET, JWT_KEYS_FILE: fileName } = settings;
  if (JWT_SECRET === undefined && fileName === undefined) return { ok: true, keys: undefined };
  const text = fileName === undefined ? undefined : textOf(fileName);
  const first = await readRing(settings, text);
  return first.ok ? { ok: true, keys: createSigningKeys(settings, text, first.ring) } : first;
}

/** The keys of a generated secret. They never change. */
export async function madeSigningKeys(secret: string, settings: Settings): Promise<SigningKeys> {
  const ring = await createKeyRing([secret, ...(settings.JWT_SECRET_PREVIOUS ?? [])]);
  return createSigningKeys(settings, undefined, ring);
}

/** The keys of a ring, with the setting that each one comes from. */
export function keysInUse({ facts }: Pick<KeyRing, "facts">, settings: Settings): readonly KeyInUse[] {
  const { JWT_SECRET, JWT_SECRET_PREVIOUS = [], JWT_KEYS_FILE } = settings;
  const previous = new Set(JWT_SECRET_PREVIOUS.map(secretKid));
  const signing = JWT_SECRET === undefined ? undefined : secretKid(JWT_SECRET);
  const originOf = (kid: string): KeyOrigin => {
    if (kid === signing) return "JWT_SECRET";
    if (previous.has(kid)) return "JWT_SECRET_PREVIOUS";
    return JWT_KEYS_FILE === undefined ? "generated" : "JWT_KEYS_FILE";
  };
  return facts.map((key) => ({ ...key, origin: originOf(key.kid) }));
}

function createSigningKeys(settings: Settings, text: string | undefined, ring: KeyRing): SigningKeys {
  const { JWT_KEYS_FILE: fileName } = settings;
  const { current, ...reloadable } = createReloadable({
    files: fileName === undefined ? [] : [fileName],
    first: { text, ring },
    read: (loaded) => reloadKeys(settings, loaded),
  });
  return { ...reloadable, ring: () => current().ring };
}

async function reloadKeys(settings: Settings, { text }: LoadedKeys): Promise<Reload<LoadedKeys>> {
  const { JWT_KEYS_FILE: fileName } = settings;
  const found = fileName === undefined ? undefined : textOf(fileName);
  if (found === text) return { kind: "unchanged" };
  const read = await readRing(settings, found).catch((error: unknown) => rejectionMessage(error, fileName));
  return read.ok
    ? { kind: "taken", value: { text: found, ring: read.ring } }
    : { kind: "refused", problems: read.problems };
}

type RingResult =
  | { readonly ok: true; readonly ring: KeyRing }
  | { readonly ok: false; readonly problems: readonly string[] };

/** Reports an unexpected error as a problem of the file. A reload must not end the process. */
function rejectionMessage(error: unknown, fileName: string | undefined): RingResult {
  // A parser's message may quote the file, which contains secrets.
  const kind = error instanceof Error ? error.name : "unknown error";
  return { ok: false, problems: [`${fileName}: the keys cannot be loaded (${kind})`] };
}

/** `JWT_SECRET` signs if it is set, otherwise the first key of the file. All keys verify. */
async function readRing(settings: Settings, text: string | undefined): Promise<RingResult> {
  const { JWT_SECRET: secret, JWT_SECRET_PREVIOUS = [], JWT_KEYS_FILE: fileName } = settings;
  const file = fileName === undefined ? [] : await readFile(fileName, text, settings);
  if ("problems" in file) return { ok: false, problems: file.problems };
  const others = await Promise.all(JWT_SECRET_PREVIOUS.map(secretKey));
  const keys = secret === undefined ? [...file, ...others] : [await secretKey(secret), ...others, ...file];
  const kids = new Set(file.map(({ verifying }) => verifying.kid));
  const problems: string[] = [];
  if (keys.some((key) => !file.includes(key) && kids.has(key.verifying.kid)))
    problems.push(`JWT_KEYS_FILE: ${fileName}: a key has the kid of a JWT_SECRET: give it another one`);
  if (keys[0]?.signing === undefined)
    problems.push(
      `JWT_KEYS_FILE: ${fileName}: the first key signs, and this one has no private part: put one first that has, or set JWT_SECRET`,
    );
  return problems.length === 0 ? { ok: true, ring: joinKeys(keys) } : { ok: false, problems };
}

async function readFile(
  fileName: string,
  text: string | undefined,
  settings: Settings,
): Promise<readonly RingKey[] | { readonly problems: readonly string[] }> {
  if (text === undefined)
    return { problems: [`JWT_KEYS_FILE: ${fileName}: it cannot be read, or is no UTF-8 text`] };
  const reuse = createReuseCheck(settings);
  const weak = (secret: string) => weakness(secret) ?? reuse(secret);
  const parsed = await parseKeySet(text, settings.ENVIRONMENT === "production" ? weak : () => undefined);
  return parsed.ok
    ? parsed.keys
    : { problems: parsed.problems.map((problem) => `JWT_KEYS_FILE: ${fileName}: ${problem}`) };
}
