import type { Caller } from "../keys/operator.ts";
import { valuesAt } from "../policy/claims.ts";
import type { Policy } from "../policy/policy.ts";
import { grantedScopes } from "../policy/scopes.ts";
import type { Person } from "./person.ts";
import { isUnverified, personId } from "./person.ts";
import type { OperatorMapping } from "./sign-in-policy.ts";
import { claimId } from "./sign-in-policy.ts";

/** An operator that has signed in. */
export interface OperatorPerson extends Person {
  /** The entries of `console.operators` that applied at sign-in, by {@link mappingId}. */
  readonly held: readonly string[];
}

/** A session keeps the entries in a cookie, so their size is bounded. The first ones decide. */
const MAX_HELD_CHARACTERS = 1000;

/** The operator that these claims describe; undefined if no entry of the policy applies. */
export function operatorPersonOf(
  person: Person,
  claims: unknown,
  { signIn }: Pick<Policy, "signIn">,
): OperatorPerson | undefined {
  const held: string[] = [];
  let characters = 0;
  for (const mapping of signIn.operators) {
    if (isUnverified(claims, mapping.claim) || !valuesAt(claims, mapping.claim).includes(mapping.value))
      continue;
    const id = mappingId(mapping);
    characters += id.length;
    if (characters > MAX_HELD_CHARACTERS && held.length > 0) break;
    held.push(id);
  }
  return held.length === 0 ? undefined : { ...person, held };
}

/** What the person may do by the current policy; undefined if its mapping no longer applies. */
export function operatorCaller(
  person: OperatorPerson,
  policy: Policy,
): Extract<Caller, { kind: "person" }> | undefined {
  const mapping = policy.signIn.operators.find((entry) => person.held.includes(mappingId(entry)));
  const role = mapping && policy.roles.get(mapping.role);
  if (role === undefined) return undefined;
  const scopes = grantedScopes(mapping?.scopes ?? [...role.scopes], role.scopes);
  return { kind: "person", id: personId(person), role, scopes };
}

function mappingId({ claim, value }: OperatorMapping): string {
  return JSON.stringify([claimId(claim), value]);
}
