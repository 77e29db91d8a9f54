import type { RateStatus } from "../core/decision/decision.ts";

/** A sensible ceiling for structured integers in headers that clients compute with: some 31 years in seconds. */
const MAX_SHOWN = 999_999_999;

/**
 * `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers): a structured field, one item a bucket, named as in the
 * policy, whose form of names needs no escaping. `q` and `w` are the bucket's size and the seconds in which it fills.
 */
export function policyField(rates: readonly RateStatus[]): string {
  return rates
    .map(({ name, capacity, windowSeconds }) => `"${name}";q=${shown(capacity)};w=${shown(windowSeconds)}`)
    .join(", ");
}

/**
 * `RateLimit`, of the same draft: `r` is a lower bound, what this instance knows to be left; `t`, on a refusal, the same
 * seconds as `Retry-After`.
 */
export function limitField(rates: readonly RateStatus[], waitSeconds?: number): string {
  const wait = waitSeconds === undefined ? "" : `;t=${shown(waitSeconds)}`;
  let field = "";
  for (const { name, remaining } of rates)
    field += `${field === "" ? "" : ", "}"${name}";r=${shown(remaining)}${wait}`;
  return field;
}

/** `X-RateLimit-*`, which older clients read: of the bucket with the least left. */
export function legacyFields(
  rates: readonly RateStatus[],
  waitSeconds?: number,
): readonly (readonly [name: string, value: string])[] {
  const [tightest] = [...rates].sort((a, b) => a.remaining - b.remaining);
  if (tightest === undefined) return [];
  const { capacity, remaining, windowSeconds } = tightest;
  const resetSeconds = waitSeconds ?? Math.ceil((windowSeconds * (capacity - remaining)) / capacity);
  return [
    ["x-ratelimit-limit", shown(capacity)],
    ["x-ratelimit-remaining", shown(remaining)],
    ["x-ratelimit-reset", shown(resetSeconds)],
  ];
}

function shown(number: number): string {
  return String(Math.min(MAX_SHOWN, Math.max(0, number)));
}
