import { memoize } from "../core/cache/memoize.ts";
import type { RateStatus } from "../core/decision/decision.ts";
import { flatten } from "../grpc/protobuf-writer.ts";

/** Clients compute with these integers, so seconds are capped at some 31 years, and amounts at what RFC 9651 §3.3.1 permits. */
const MAX_SECONDS = 999_999_999;
const MAX_AMOUNT = 999_999_999_999_999;

/**
 * `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): a structured field with one item for each bucket and quota. Names of the
 * policy need no escaping. `q` is the capacity of the bucket, or the limit of the quota. `w` is the seconds in which the bucket fills,
 * or the length of the window.
 */
export function policyField(rates: readonly RateStatus[]): string {
  return rates
    .map(
      ({ name, capacity, windowSeconds }) =>
        `"${name}";q=${formatAmount(capacity)};w=${formatSeconds(windowSeconds)}`,
    )
    .join(", ");
}

/**
 * `RateLimit` of the same draft. `r` is a lower bound: what this instance knows to be left. `t` of a quota is the end of its window.
 * `t` of a bucket stands only in a denial, and is equal to `Retry-After` in seconds.
 */
export function limitField(rates: readonly RateStatus[], waitSeconds?: number): string {
  let field = "";
  for (const { name, remaining, resetSeconds = waitSeconds } of rates) {
    field += field === "" ? firstItem(name) : nextItem(name);
    field += boundedAmount(remaining);
    if (resetSeconds !== undefined) field += resetParameter(boundedSeconds(resetSeconds));
  }
  return field;
}

/** Most of the field is the same in every response. */
const firstItem = memoize(256, (name) => flatten(`"${name}";r=`));
const nextItem = memoize(256, (name) => flatten(`, "${name}";r=`));
const resetParameter = createResetParameter();

/** All responses of one second have the same `t` of a window, so the last ones are kept: one for each kind of window. */
function createResetParameter() {
  const places = 8;
  const known = Array.from({ length: places }, () => ({ seconds: -1, text: "" }));
  return (seconds: number): string => {
    const kept = known[seconds % places];
    if (kept?.seconds === seconds) return kept.text;
    const text = flatten(`;t=${seconds}`);
    known[seconds % places] = { seconds, text };
    return text;
  };
}

/** `X-RateLimit-*` for older clients: the values of the bucket or quota with the least left. */
export function legacyFields(
  rates: readonly RateStatus[],
  waitSeconds?: number,
): readonly (readonly [name: string, value: string])[] {
  const [tightest] = [...rates].sort((a, b) => a.remaining - b.remaining);
  if (tightest === undefined) return [];
  const { capacity, remaining, windowSeconds, resetSeconds } = tightest;
  const fillSeconds = Math.ceil((windowSeconds * (capacity - remaining)) / capacity);
  return [
    ["x-ratelimit-limit", formatAmount(capacity)],
    ["x-ratelimit-remaining", formatAmount(remaining)],
    ["x-ratelimit-reset", formatSeconds(waitSeconds ?? resetSeconds ?? fillSeconds)],
  ];
}

function formatSeconds(value: number): string {
  return String(boundedSeconds(value));
}

function formatAmount(value: number): string {
  return String(boundedAmount(value));
}

function boundedSeconds(value: number): number {
  return Math.min(MAX_SECONDS, Math.max(0, value));
}

function boundedAmount(value: number): number {
  return Math.min(MAX_AMOUNT, Math.max(0, value));
}
