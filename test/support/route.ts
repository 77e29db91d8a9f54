import type { Pattern } from "../../src/core/policy/route-pattern.ts";

/** A route with the defaults of the policy file: every method and host, any valid key. */
export const PLAIN_ROUTE = {
  methods: [],
  hosts: [],
  public: false,
  scopes: [],
  anyScope: [],
  cost: 1,
  charges: [],
  mode: "enforce",
  stripCredential: true,
} as const;

/** Negative if `a` is the closer of two overlapping patterns: the first difference decides. */
export function comparePatterns(a: Pattern, b: Pattern): number {
  const rank = (segment: string | undefined) =>
    segment === undefined ? 0 : segment === "**" ? 3 : segment === "*" ? 2 : 1;
  for (let depth = 0; depth < Math.max(a.length, b.length); depth++) {
    const difference = rank(a[depth]) - rank(b[depth]);
    if (difference !== 0) return difference;
  }
  return 0;
}
