import { allPages } from "./pages.ts";
import type { Transport } from "./transport.ts";
import { pathSegment } from "./transport.ts";
import type {
  AppliedOverride,
  LimitOverride,
  Limits,
  NearLimits,
  NearLimitsQuery,
  OverrideFilter,
  OverrideList,
} from "./types.ts";

/** Whose limits an override changes. */
export type LimitSubject = { readonly owner: string } | { readonly family: string };

function overridePath(subject: LimitSubject): string {
  return "owner" in subject
    ? `/api/admin/owners/${pathSegment(subject.owner)}/limits`
    : `/api/admin/families/${pathSegment(subject.family)}/limits`;
}

/** The calls about buckets, quotas and overrides. */
export function limitCalls({ call, json }: Transport) {
  const limitsPath = (keyId: string) => `/api/admin/limits/${pathSegment(keyId)}`;
  const listOverrides = (filter: OverrideFilter = {}) =>
    json<OverrideList>({ method: "GET", path: "/api/admin/overrides", query: filter });
  return {
    show: (keyId: string) => json<Limits>({ method: "GET", path: limitsPath(keyId) }),
    /** The quotas near their end. The count may still run: see `complete`. */
    near: (query: NearLimitsQuery = {}) =>
      json<NearLimits>({ method: "GET", path: "/api/admin/quotas", query }),
    /** Fills the buckets of the key's family and owner. */
    reset: (keyId: string) => call({ method: "DELETE", path: limitsPath(keyId) }),
    listOverrides,
    /** Every override that is in force and matches the filter, loaded page by page. */
    async *allOverrides(filter: Omit<OverrideFilter, "cursor"> = {}): AsyncGenerator<AppliedOverride> {
      for await (const { overrides } of allPages((next) => listOverrides({ ...filter, ...next })))
        yield* overrides;
    },
    /** What the owner or the family gets instead of what its keys and roles say. */
    showOverride: (subject: LimitSubject) =>
      json<AppliedOverride>({ method: "GET", path: overridePath(subject) }),
    /** Replaces the former override. With `replaces`, only the one of that version. */
    setOverride: (subject: LimitSubject, override: LimitOverride) =>
      call({ method: "PUT", path: overridePath(subject), body: override }),
    /** @param replaces the `version` of the override on which the decision is based */
    clearOverride: (subject: LimitSubject, replaces?: number) =>
      call({ method: "DELETE", path: overridePath(subject), query: { replaces } }),
  };
}
