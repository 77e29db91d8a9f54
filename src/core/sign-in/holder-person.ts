import { isFamilyId } from "../keys/key-record.ts";
import type { Caller } from "../keys/operator.ts";
import { textAt } from "../policy/claims.ts";
import type { Policy } from "../policy/policy.ts";
import type { Person } from "./person.ts";
import { isUnverified, personId } from "./person.ts";
import { claimId } from "./sign-in-policy.ts";

/** A holder of keys that has signed in. */
export interface HolderPerson extends Person {
  readonly owner: string;
  /** The claim that named the owner, by `claimId`. */
  readonly claim: string;
}

/** Why a person cannot manage keys. */
export type HolderRejection =
  | "holders_not_mapped"
  | "owner_missing"
  | "owner_unverified"
  | "owner_not_accepted";

const OWNER_NAME = /^[A-Za-z0-9_.@/-]{1,128}$/;

/** The owner that these claims name. A family id is rejected, because it would name the keys of a family without an owner. */
export function holderPersonOf(
  person: Person,
  claims: unknown,
  { signIn }: Pick<Policy, "signIn">,
): HolderPerson | HolderRejection {
  if (signIn.holders === undefined) return "holders_not_mapped";
  const { owner: claim } = signIn.holders;
  const owner = textAt(claims, claim);
  if (owner === undefined) return "owner_missing";
  if (isUnverified(claims, claim)) return "owner_unverified";
  if (!OWNER_NAME.test(owner) || isFamilyId(owner)) return "owner_not_accepted";
  return { ...person, owner, claim: claimId(claim) };
}

/** What the holder may do by the current policy; undefined if the policy names another claim, or no longer names one. */
export function holderCaller(
  person: HolderPerson,
  policy: Policy,
): Extract<Caller, { kind: "owner" }> | undefined {
  const { holders } = policy.signIn;
  if (holders === undefined || claimId(holders.owner) !== person.claim) return undefined;
  const selfService = [...policy.roles.values()].filter((role) => role.selfService).map(({ name }) => name);
  const roles = new Set([...selfService, ...holders.roles]);
  return { kind: "owner", id: personId(person), owner: person.owner, roles };
}
