import type { QuotaEntries } from "./limit-lists.ts";
import type { Problem } from "./problem.ts";
import type { PolicyDocument } from "./schema.ts";

export type LimitsDocument = Pick<PolicyDocument, "plans"> & {
  readonly roles: NonNullable<PolicyDocument["roles"]>;
};

/** One list of quotas and its place in the file. */
interface PlacedQuotas {
  readonly at: readonly PropertyKey[];
  readonly quotas: QuotaEntries;
  /** Names of the limits that apply together with the quotas. */
  readonly limitNames: readonly string[];
}

export function* placedQuotas({ plans, roles }: LimitsDocument): Generator<PlacedQuotas> {
  for (const [kind, lists] of [
    ["plans", plans],
    ["roles", roles],
  ] as const) {
    for (const [name, { quotas = [], rate_limits: limits = [] }] of Object.entries(lists))
      yield { at: [kind, name, "quotas"], quotas, limitNames: limits.map((limit) => limit.name) };
  }
}

/** The fields that must be the same wherever a quota has the same name, because all of them share one counter. */
const COUNT_FIELDS = ["per", "unit", "every", "time_zone"] as const;

/** Checks of the quotas that the schema cannot express. */
export function* quotaProblems(document: LimitsDocument): Generator<Problem> {
  const first = new Map<string, { readonly quota: QuotaEntries[number]; readonly at: string }>();
  for (const { at, quotas, limitNames } of placedQuotas(document)) {
    const names = quotas.map(({ name }) => name);
    for (const [index, quota] of quotas.entries()) {
      const { name } = quota;
      const path = [...at, index];
      if (names.indexOf(name) !== index)
        yield { path: [...path, "name"], message: `a second quota "${name}"` };
      // Both are items of the same header, in which the name identifies them.
      if (limitNames.includes(name))
        yield { path: [...path, "name"], message: `a limit is named "${name}" too` };
      const known = first.get(name);
      if (known === undefined) first.set(name, { quota, at: at.slice(0, 2).join(".") });
      else yield* countProblems(quota, known, path);
    }
  }
}

function* countProblems(
  quota: QuotaEntries[number],
  known: { readonly quota: QuotaEntries[number]; readonly at: string },
  path: readonly PropertyKey[],
): Generator<Problem> {
  for (const field of COUNT_FIELDS) {
    const [own, other] = [countField(quota, field), countField(known.quota, field)];
    if (own !== other)
      yield {
        path: [...path, field],
        message: `quota "${quota.name}" has ${field} ${own} here and ${other} in ${known.at}, but one counter`,
      };
  }
}

function countField(quota: QuotaEntries[number], field: (typeof COUNT_FIELDS)[number]): string {
  return quota[field] ?? "UTC";
}
