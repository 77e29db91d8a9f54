/**
 * Of the scopes of a role, with a space between two: the longest key then fits into the longest token that a Check reads
 * (`MAX_TOKEN_BYTES`).
 */
export const MAX_ROLE_SCOPE_CHARACTERS = 2000;

/** The scopes that a route requires. If both lists are empty, a valid key of any role suffices. */
export interface ScopeRequirement {
  /** All of these. */
  readonly scopes: readonly string[];
  /** And at least one of these, if there are any. */
  readonly anyScope: readonly string[];
}

/** The scopes that the key was given and its role still has. A narrowed role narrows its existing keys at once. */
export function grantedScopes(
  keyScopes: readonly string[],
  roleScopes: ReadonlySet<string>,
): readonly string[] {
  return keyScopes.every((scope) => roleScopes.has(scope))
    ? keyScopes
    : keyScopes.filter((scope) => roleScopes.has(scope));
}

export function scopesSuffice(granted: readonly string[], required: ScopeRequirement): boolean {
  return (
    required.scopes.every((scope) => granted.includes(scope)) &&
    (required.anyScope.length === 0 || required.anyScope.some((scope) => granted.includes(scope)))
  );
}

/** The scopes for the challenge of RFC 6750 §3.1: those that suffice for the route. */
export function scopesToAskFor(required: ScopeRequirement): readonly string[] {
  return [...required.scopes, ...required.anyScope];
}
