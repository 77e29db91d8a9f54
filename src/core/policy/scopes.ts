/** What a route asks of a key. Both may be empty: then a good key of any role is enough. */
export interface ScopeRequirement {
  /** All of these. */
  readonly scopes: readonly string[];
  /** And one of these, when there are any. */
  readonly anyScope: readonly string[];
}

/** Granted is what the key was given and its role still has: a narrowed role narrows its old keys at once. */
export function grantedScopes(
  keyScopes: readonly string[],
  roleScopes: ReadonlySet<string>,
): readonly string[] {
  return keyScopes.every((scope) => roleScopes.has(scope))
    ? keyScopes
    : keyScopes.filter((scope) => roleScopes.has(scope));
}

/** Whether the granted scopes are enough. */
export function scopesSuffice(granted: readonly string[], required: ScopeRequirement): boolean {
  return (
    required.scopes.every((scope) => granted.includes(scope)) &&
    (required.anyScope.length === 0 || required.anyScope.some((scope) => granted.includes(scope)))
  );
}

/** What RFC 6750 §3.1 wants in the challenge: the scopes that would have been enough. */
export function scopesToAskFor(required: ScopeRequirement): readonly string[] {
  return [...required.scopes, ...required.anyScope];
}
