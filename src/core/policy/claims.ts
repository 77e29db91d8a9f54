/** Alternative paths of nested member names. The first one that exists in the claims is used. */
export type ClaimPath = readonly (readonly string[])[];

/** The value at the first path that exists. */
export function claimAt(claims: unknown, where: ClaimPath): unknown {
  for (const path of where) {
    const value = path.reduce(memberOf, claims);
    if (value !== undefined) return value;
  }
  return undefined;
}

/** The text at the first path that exists; undefined for any other value. */
export function textAt(claims: unknown, where: ClaimPath | undefined): string | undefined {
  const value = where === undefined ? undefined : claimAt(claims, where);
  return typeof value === "string" ? value : undefined;
}

/**
 * Reads space-separated words (RFC 8693 §4.2), a list of words, or the member names of an object (Zitadel's form of
 * roles). Ignores a member whose value is false, null, 0 or empty.
 */
export function wordsAt(claims: unknown, where: ClaimPath): readonly string[] {
  const value = claimAt(claims, where);
  if (typeof value === "string") return value.split(" ").filter((word) => word !== "");
  return listedWords(value);
}

/** The text, or the words of a list or an object. A text is one value here: it is not split at its spaces. */
export function valuesAt(claims: unknown, where: ClaimPath): readonly string[] {
  const value = claimAt(claims, where);
  return typeof value === "string" ? [value] : listedWords(value);
}

function listedWords(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.filter((word) => typeof word === "string");
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([word, set]) => (set ? [word] : []));
}

export function memberOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null && Object.hasOwn(value, name)
    ? Reflect.get(value, name)
    : undefined;
}
