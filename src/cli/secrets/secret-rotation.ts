import { secretKid } from "../../jwt/key-ring.ts";
import type { Retirement } from "./key-rotation.ts";
import { retiredTooEarly } from "./key-rotation.ts";

/** The values of `JWT_SECRET` and `JWT_SECRET_PREVIOUS` in the environment. */
export interface Secrets {
  readonly signing?: string;
  readonly previous: readonly string[];
}

/** The result of one step of a rotation, with the secrets to set. The program cannot set variables of the environment. */
export type SecretRotationResult =
  | { readonly kind: "changed"; readonly set: Secrets; readonly kid: string; readonly message: string }
  | { readonly kind: "unchanged"; readonly kid: string; readonly message: string }
  | { readonly kind: "refused"; readonly message: string; readonly retireAt?: string };

export function isSecretKid({ signing, previous }: Secrets, kid: string | undefined): boolean {
  return [...(signing === undefined ? [] : [signing]), ...previous].some(
    (secret) => secretKid(secret) === kid,
  );
}

/** Adds a secret that verifies. The first secret signs. Adds none beside a previous one, unless `another` is set. */
export function addSecret(secrets: Secrets, fresh: string, another: boolean): SecretRotationResult {
  const kid = secretKid(fresh);
  const { signing, previous } = secrets;
  if (signing === undefined)
    return { kind: "changed", set: { signing: fresh, previous }, kid, message: `${kid} (HS256) will sign` };
  const [existing] = previous;
  if (existing !== undefined && !another)
    return {
      kind: "unchanged",
      kid: secretKid(existing),
      message: `JWT_SECRET_PREVIOUS already has ${secretKid(existing)}: promote or retire it first, or give --another`,
    };
  const message = `${kid} (HS256) will verify: once every instance has it, run \`latchkey secrets promote ${kid}\``;
  return { kind: "changed", set: { signing, previous: [fresh, ...previous] }, kid, message };
}

/** Makes a previous secret the signing secret. The former signing secret keeps verifying. */
export function promoteSecret(secrets: Secrets, kid: string | undefined): SecretRotationResult {
  const { signing, previous } = secrets;
  if (signing !== undefined && secretKid(signing) === kid)
    return { kind: "unchanged", kid, message: `${kid} already signs` };
  const chosen = previous.find((secret) => secretKid(secret) === kid);
  if (chosen === undefined || kid === undefined)
    return { kind: "refused", message: unknownSecretMessage(secrets, kid) };
  const others = previous.filter((secret) => secret !== chosen);
  const set = { signing: chosen, previous: signing === undefined ? others : [...others, signing] };
  return {
    kind: "changed",
    set,
    kid,
    message: `${kid} will sign, and the former signing secret will verify`,
  };
}

/** Lets the signing secret only verify, so that a key of the file signs. Undefined if no secret signs. */
export function demoteSigningSecret({ signing, previous }: Secrets): Secrets | undefined {
  return signing === undefined ? undefined : { previous: [signing, ...previous] };
}

/** Removes a secret once every API key that it signed has expired. The environment does not record when it stopped signing. */
export function retireSecret(secrets: Secrets, retirement: Retirement, nowMs: number): SecretRotationResult {
  const { signing, previous } = secrets;
  const { kid, sinceMs, longestTtlSeconds, force } = retirement;
  if (signing !== undefined && secretKid(signing) === kid)
    return { kind: "refused", message: `${kid} signs: promote another secret before you retire it` };
  if (kid === undefined || !isSecretKid(secrets, kid))
    return { kind: "refused", message: unknownSecretMessage(secrets, kid) };
  if (!force && sinceMs === undefined)
    return {
      kind: "refused",
      message: `the environment does not record when ${kid} stopped signing: give --since TIME, or --force to retire it anyway`,
    };
  const early = force ? undefined : retiredTooEarly(kid, sinceMs ?? nowMs, longestTtlSeconds, nowMs);
  if (early !== undefined) return early;
  const left = previous.filter((secret) => secretKid(secret) !== kid);
  const set = { ...(signing !== undefined && { signing }), previous: left };
  return {
    kind: "changed",
    set,
    kid,
    message: `${kid} will be removed: the API keys that it signed become invalid`,
  };
}

function unknownSecretMessage({ previous }: Secrets, kid: string | undefined): string {
  const kids = previous.map(secretKid).join(", ");
  const problem = kid === undefined ? "the kid of a secret is required" : `no secret has the kid ${kid}`;
  return kids === ""
    ? `${problem}: JWT_SECRET_PREVIOUS is empty, add a secret with \`latchkey secrets add\``
    : `${problem}: JWT_SECRET_PREVIOUS has ${kids}`;
}

/** The variables to set. An empty variable counts as not set. */
export function asVariables({ signing, previous }: Secrets): Readonly<Record<string, string>> {
  return { JWT_SECRET: signing ?? "", JWT_SECRET_PREVIOUS: previous.join(",") };
}

export function shellLine([name, value]: readonly [string, string]): string {
  const plain = /^[A-Za-z0-9_,.:=+/-]*$/.test(value);
  return `${name}=${plain ? value : `'${value.replaceAll("'", "'\\''")}'`}`;
}
