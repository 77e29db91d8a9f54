import type { RateStatus } from "../core/decision/decision.ts";
import type { LegacyNotice } from "../core/legacy/migration.ts";
import type { HeaderOption } from "./messages.ts";
import { APPEND_ACTION } from "./messages.ts";
import { legacyFields, limitField, policyField } from "./rate-limit-headers.ts";

/** Sets both forms of "replace", because Envoy versions differ in which of the two they apply. */
export function overwrite(key: string, value: string): HeaderOption {
  return {
    header: { key, value },
    append: NO_APPEND,
    append_action: APPEND_ACTION.OVERWRITE_IF_EXISTS_OR_ADD,
  };
}

const NO_APPEND = { value: false } as const;

/** Adds a line after those of upstream with the same name. */
export function append(key: string, value: string): HeaderOption {
  return {
    header: { key, value },
    append: { value: true },
    append_action: APPEND_ACTION.APPEND_IF_EXISTS_OR_ADD,
  };
}

/** The endpoint that exchanges V1 keys. */
export const MIGRATE_LINK = '</api/auth/v2/migrate>; rel="successor-version"';

/**
 * Headers for the holder of a V1 key: that V2 exists, and later when V1 ends (RFC 9745, RFC 8594). An allow appends the link to
 * those of upstream. A denial has no upstream response, and Envoy appends only to a header that exists, so a denial sets it.
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

/** Equal in every response to one key while its limits do not change. */
export function policyHeaders(rates: readonly RateStatus[]): HeaderOption[] {
  return rates.length === 0 ? [] : [overwrite("ratelimit-policy", policyField(rates))];
}

export function limitHeaders(rates: readonly RateStatus[], waitSeconds?: number): HeaderOption[] {
  return rates.length === 0 ? [] : [overwrite("ratelimit", limitField(rates, waitSeconds))];
}

export function legacyLimitHeaders(rates: readonly RateStatus[], waitSeconds?: number): HeaderOption[] {
  return legacyFields(rates, waitSeconds).map(([name, value]) => overwrite(name, value));
}
