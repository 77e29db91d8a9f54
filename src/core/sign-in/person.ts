import type { ClaimPath } from "../policy/claims.ts";
import { claimAt, textAt } from "../policy/claims.ts";
import { escapeId } from "../policy/issuer.ts";

/** A person that has signed in. */
export interface Person {
  /** `sub`, escaped: letters, digits and `_ . @ - %`, at most 200. Different subjects have different texts. */
  readonly subject: string;
  /** For people to read: a verified email address, the user name, the name or the subject; at most 64 characters. */
  readonly name: string;
}

const MAX_NAME_CHARACTERS = 64;
const INVISIBLE = /[\p{C}\u2028\u2029]/gu;

/** Undefined if the claims have no usable `sub`. */
export function personOf(claims: unknown): Person | undefined {
  const subject = escapeId(textAt(claims, [["sub"]]) ?? "");
  if (subject === undefined) return undefined;
  const names = [
    verifiedText(claims, EMAIL),
    textAt(claims, [["preferred_username"]]),
    textAt(claims, [["name"]]),
  ];
  const name = names
    .map((text = "") => [...text.replace(INVISIBLE, "").trim()].slice(0, MAX_NAME_CHARACTERS).join(""))
    .find((text) => text !== "");
  return { subject, name: name ?? subject };
}

/** The person in audit lines: the subject, which is unique, and the name. `/` occurs in neither. */
export function personId({ subject, name }: Person): string {
  const escaped = escapeId(name);
  return escaped === undefined || name === subject ? subject : `${subject}/${escaped}`;
}

const EMAIL: ClaimPath = [["email"]];

/** Whether the claim is an email address that the provider has not verified, so that anybody could have entered it. */
export function isUnverified(claims: unknown, claim: ClaimPath): boolean {
  const isEmail = claim.some((path) => path.length === 1 && path[0] === "email");
  return isEmail && claimAt(claims, [["email_verified"]]) !== true;
}

function verifiedText(claims: unknown, claim: ClaimPath): string | undefined {
  return isUnverified(claims, claim) ? undefined : textAt(claims, claim);
}
