import { secretKid } from "../../jwt/key-ring.ts";
import type { Retirement } from "./key-rotation.ts";
import { retiredTooEarly } from "./key-rotation.ts";

/** `JWT_SECRET` and `JWT_SECRET_PREVIOUS`, as the environment has them. */
export interface Secrets {
  readonly signing?: string;
  readonly previous: readonly string[];
}

/** What a move asks to be set: the program cannot set it itself. */
export type SecretMove =
  | { readonly kind: "changed"; readonly set: Secrets; readonly kid: string; readonly message: string }
  | { readonly kind: "unchanged"; readonly kid: string; readonly message: string }
  | { readonly kind: "refused"; readonly message: string; readonly retireAt?: string };

export function isSecretKid({ signing, previous }: Secrets, kid: string | undefined): boolean {
  return [...(signing === undefined ? [] : [signing]), ...previous].some(
    (secret) => secretKid(secret) === kid,
  );
}

/** A further secret, which verifies; the very first one signs. A second time nothing is added, unless `another` is wanted. */
export function addSecret(secrets: Secrets, fresh: string, another: boolean): SecretMove {
  const kid = secretKid(fresh);
  const { signing, previous } = secrets;
  if (signing === undefined)
    return { kind: "changed", set: { signing: fresh, previous }, kid, message: `${kid} (HS256) is to sign` };
  const [there] = previous;
  if (there !== undefined && !another)
    return {
      kind: "unchanged",
      kid: secretKid(there),
      message: `JWT_SECRET_PREVIOUS holds ${secretKid(there)} already: promote or retire it first, or give --another`,
    };
  const message = `${kid} (HS256) is to verify: once every instance has it, \`latchkey secrets promote ${kid}\``;
  return { kind: "changed", set: { signing, previous: [fresh, ...previous] }, kid, message };
}

/** Makes a secret sign that verified so far; the one that signed so far goes on verifying. */
export function promoteSecret(secrets: Secrets, kid: string | undefined): SecretMove {
  const { signing, previous } = secrets;
  if (signing !== undefined && secretKid(signing) === kid)
    return { kind: "unchanged", kid, message: `${kid} signs already` };
  const chosen = previous.find((secret) => secretKid(secret) === kid);
  if (chosen === undefined || kid === undefined)
    return { kind: "refused", message: unknownSecretMessage(secrets, kid) };
  const others = previous.filter((secret) => secret !== chosen);
  const set = { signing: chosen, previous: signing === undefined ? others : [...others, signing] };
  return { kind: "changed", set, kid, message: `${kid} is to sign, and what signed so far to verify` };
}

/** The secret that signs makes way for the keys of a file. */
export function demoteSigningSecret({ signing, previous }: Secrets): Secrets | undefined {
  return signing === undefined ? undefined : { previous: [signing, ...previous] };
}

/** Takes a secret away once no key that it signed can live any more. The environment does not say since when. */
export function retireSecret(secrets: Secrets, retirement: Retirement, nowMs: number): SecretMove {
  const { signing, previous } = secrets;
  const { kid, sinceMs, longestTtlSeconds, force } = retirement;
  if (signing !== undefined && secretKid(signing) === kid)
    return { kind: "refused", message: `${kid} signs: promote another one first` };
  if (kid === undefined || !isSecretKid(secrets, kid))
    return { kind: "refused", message: unknownSecretMessage(secrets, kid) };
  if (!force && sinceMs === undefined)
    return {
      kind: "refused",
      message: `the environment does not say until when ${kid} signed: --since TIME does, or --force takes it away all the same`,
    };
  const early = force ? undefined : retiredTooEarly(kid, sinceMs ?? nowMs, longestTtlSeconds, nowMs);
  if (early !== undefined) return early;
  const left = previous.filter((secret) => secretKid(secret) !== kid);
  const set = { ...(signing !== undefined && { signing }), previous: left };
  return { kind: "changed", set, kid, message: `${kid} is to go: keys that it signed are refused then` };
}

function unknownSecretMessage({ previous }: Secrets, kid: string | undefined): string {
  const known = previous.map(secretKid).join(", ") || "none: `latchkey secrets add` makes one";
  return kid === undefined
    ? `name the one that is meant: ${known}`
    : `there is no secret ${kid}, but ${known}`;
}

/** The variables to set, as a shell or an env file takes them; an empty one counts as not set. */
export function asVariables({ signing, previous }: Secrets): Readonly<Record<string, string>> {
  return { JWT_SECRET: signing ?? "", JWT_SECRET_PREVIOUS: previous.join(",") };
}

export function shellLine([name, value]: readonly [string, string]): string {
  const plain = /^[A-Za-z0-9_,.:=+/-]*$/.test(value);
  return `${name}=${plain ? value : `'${value.replaceAll("'", "'\\''")}'`}`;
}
