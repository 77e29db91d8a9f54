import type { RateStatus } from "../core/decision/decision.ts";
import type { LegacyNotice } from "../core/legacy/migration.ts";
import type { HeaderOption } from "./messages.ts";
import { APPEND_ACTION } from "./messages.ts";
import { legacyFields, limitField, policyField } from "./rate-limit-headers.ts";

/** Both forms of "replace": Envoy versions differ in which of the two they heed. */
export function overwrite(key: string, value: string): HeaderOption {
  return {
    header: { key, value },
    append: NO_APPEND,
    append_action: APPEND_ACTION.OVERWRITE_IF_EXISTS_OR_ADD,
  };
}

const NO_APPEND = { value: false } as const;

/** Beside what upstream says of the same. */
export function append(key: string, value: string): HeaderOption {
  return {
    header: { key, value },
    append: { value: true },
    append_action: APPEND_ACTION.APPEND_IF_EXISTS_OR_ADD,
  };
}

/** Where a V1 key is exchanged. */
export const MIGRATE_LINK = '</api/auth/v2/migrate>; rel="successor-version"';

/**
 * What the holder of a V1 key is told: that there is something new, and later when the old ends (RFC 9745, RFC 8594).
 * Upstream may have links of its own; a refusal has none, and Envoy appends to it only what is there already.
 */
export function noticeHeaders(notice: LegacyNotice | undefined, link: typeof append): HeaderOption[] {
  if (notice === undefined) return [];
  const { deprecatedAt, sunset } = notice;
  return [
    overwrite("x-latchkey-upgrade", "v2"),
    link("link", MIGRATE_LINK),
    ...(deprecatedAt === undefined ? [] : [overwrite("deprecation", `@${deprecatedAt}`)]),
    ...(sunset === undefined ? [] : [overwrite("sunset", new Date(sunset * 1000).toUTCString())]),
  ];
}

/** The same in every answer to one key, while its limits are. */
export function policyHeaders(rates: readonly RateStatus[]): HeaderOption[] {
  return rates.length === 0 ? [] : [overwrite("ratelimit-policy", policyField(rates))];
}

export function limitHeaders(rates: readonly RateStatus[], waitSeconds?: number): HeaderOption[] {
  return rates.length === 0 ? [] : [overwrite("ratelimit", limitField(rates, waitSeconds))];
}

export function legacyLimitHeaders(rates: readonly RateStatus[], waitSeconds?: number): HeaderOption[] {
  return legacyFields(rates, waitSeconds).map(([name, value]) => overwrite(name, value));
}
