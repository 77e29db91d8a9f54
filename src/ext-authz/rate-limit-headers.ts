import type { RateStatus } from "../core/decision/decision.ts";

/** Clients compute with these integers, so they are capped: some 31 years in seconds. */
const MAX_VALUE = 999_999_999;

/**
 * `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): a structured field with one item for each bucket. Names of the policy
 * need no escaping. `q` is the capacity of the bucket, and `w` the seconds in which it fills.
 */
export function policyField(rates: readonly RateStatus[]): string {
  return rates
    .map(
      ({ name, capacity, windowSeconds }) =>
        `"${name}";q=${formatInteger(capacity)};w=${formatInteger(windowSeconds)}`,
    )
    .join(", ");
}

/**
 * `RateLimit` of the same draft. `r` is a lower bound: the tokens that this instance knows to be left. `t`, in a denial, is
 * equal to `Retry-After` in seconds.
 */
export function limitField(rates: readonly RateStatus[], waitSeconds?: number): string {
  const wait = waitSeconds === undefined ? "" : `;t=${formatInteger(waitSeconds)}`;
  let field = "";
  for (const { name, remaining } of rates)
    field += `${field === "" ? "" : ", "}"${name}";r=${formatInteger(remaining)}${wait}`;
  return field;
}

/** `X-RateLimit-*` for older clients: the values of the bucket with the fewest tokens left. */
export function legacyFields(
  rates: readonly RateStatus[],
  waitSeconds?: number,
): readonly (readonly [name: string, value: string])[] {
  const [tightest] = [...rates].sort((a, b) => a.remaining - b.remaining);
  if (tightest === undefined) return [];
  const { capacity, remaining, windowSeconds } = tightest;
  const resetSeconds = waitSeconds ?? Math.ceil((windowSeconds * (capacity - remaining)) / capacity);
  return [
    ["x-ratelimit-limit", formatInteger(capacity)],
    ["x-ratelimit-remaining", formatInteger(remaining)],
    ["x-ratelimit-reset", formatInteger(resetSeconds)],
  ];
}

function formatInteger(value: number): string {
  return String(Math.min(MAX_VALUE, Math.max(0, value)));
}
