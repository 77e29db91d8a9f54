import { memoize } from "../core/cache/memoize.ts";
import { parseNetwork } from "../core/keys/ip-network.ts";
import { MAX_KEY_NETS, THUMBPRINT } from "../core/keys/key-binding.ts";
import { hasAtMostCharacters, MAX_KEY_NAME_CHARACTERS } from "../core/keys/key-name.ts";
import type { KeyClaims } from "../core/keys/key-record.ts";
import { isKeyId } from "../core/keys/key-record.ts";
import { isJsonObject } from "./json-object.ts";

const MAX_SCOPE_CHARACTERS = 4200;
const IDENTIFIER = /^[A-Za-z0-9_.@/-]{1,128}$/;
/** The form of names in the policy. */
const POLICY_NAME = /^[A-Za-z][A-Za-z0-9_-]{0,63}$/;
/** Space-separated scopes in the policy's form (RFC 8693 §4.2), or an empty string. */
const SCOPES = /^(?:[A-Za-z0-9][A-Za-z0-9:._/-]{0,63}(?: [A-Za-z0-9][A-Za-z0-9:._/-]{0,63})*)?$/;

interface ClaimForm {
  readonly isValid: (value: unknown) => boolean;
  readonly required: boolean;
}

const required = (isValid: ClaimForm["isValid"]): ClaimForm => ({ isValid, required: true });
const optional = (isValid: ClaimForm["isValid"]): ClaimForm => ({ isValid, required: false });

const FORMS: Readonly<Record<keyof KeyClaims, ClaimForm>> = {
  iss: required(isText),
  aud: required(isText),
  sub: required(isIdentifier),
  fam: required(isIdentifier),
  jti: required((value) => isText(value) && isKeyId(value)),
  name: required(isName),
  own: optional(isIdentifier),
  role: required(isPolicyName),
  plan: optional(isPolicyName),
  scope: required((value) => isText(value) && parseScope(value) !== undefined),
  iat: required(isNumericDate),
  nbf: required(isNumericDate),
  exp: required(isNumericDate),
  refresh_after: required(isNumericDate),
  nets: optional(isNetworks),
  cnf: optional(isConfirmation),
};

/** A look-up in an object would find members of its prototype. */
const FORM_OF: ReadonlyMap<string, ClaimForm> = new Map(Object.entries(FORMS));
const REQUIRED_CLAIMS = Object.values(FORMS).filter((form) => form.required).length;

/**
 * Whether parsed JSON has exactly the claims of our tokens. Written by hand, because a schema takes as much time as the signature
 * of a token. The tests hold it equal to a schema of zod.
 */
export function hasOurClaims(value: unknown): value is KeyClaims {
  if (!isJsonObject(value)) return false;
  let found = 0;
  for (const name in value) {
    const form = FORM_OF.get(name);
    if (form === undefined || !form.isValid(value[name])) return false;
    if (form.required) found++;
  }
  return found === REQUIRED_CLAIMS;
}

/** The scopes of the claim `scope`; undefined if it has another form. Keys with equal scopes share one list, to save memory. */
export const parseScope = memoize(256, (text): readonly string[] | undefined => {
  if (text.length > MAX_SCOPE_CHARACTERS || !SCOPES.test(text)) return undefined;
  return text === "" ? [] : text.split(" ");
});

/** Keys with the same role or plan share one text. */
export const sharedName = memoize(256, (name) => name);

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isName(value: unknown): boolean {
  return isText(value) && hasAtMostCharacters(value, MAX_KEY_NAME_CHARACTERS);
}

function isIdentifier(value: unknown): boolean {
  return isText(value) && IDENTIFIER.test(value);
}

function isPolicyName(value: unknown): boolean {
  return isText(value) && POLICY_NAME.test(value);
}

/** Whole seconds (RFC 7519 §2). */
function isNumericDate(value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) >= 0;
}

function isNetworks(value: unknown): boolean {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_KEY_NETS) return false;
  return value.every((net: unknown) => isText(net) && parseNetwork(net) !== undefined);
}

/** RFC 8705 §3.1: a client certificate, and no other confirmation. */
function isConfirmation(value: unknown): boolean {
  if (!isJsonObject(value)) return false;
  const thumbprint = value["x5t#S256"];
  return Object.keys(value).length === 1 && isText(thumbprint) && THUMBPRINT.test(thumbprint);
}
