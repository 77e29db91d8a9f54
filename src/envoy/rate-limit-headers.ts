import type { RateStatus } from "../core/decision.ts";

type Field = readonly [name: string, value: string];

/** A sensible ceiling for structured integers in headers that clients compute with: some 31 years in seconds. */
const MAX_SHOWN = 999_999_999;

/**
 * `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers): structured fields, one item a bucket,
 * named as in the policy. `q` and `w` are the bucket's size and the seconds in which it fills; `r` is a lower bound,
 * what this instance knows to be left; `t`, on a refusal, the same seconds as `Retry-After`. The names' form in the
 * policy file needs no escaping.
 */
export function rateLimitFields(
  rates: readonly RateStatus[],
  waitSeconds: number | undefined,
  legacy: boolean,
): readonly Field[] {
  if (rates.length === 0) return [];
  const policy = rates.map(
    ({ name, capacity, windowSeconds }) => `"${name}";q=${shown(capacity)};w=${shown(windowSeconds)}`,
  );
  const wait = waitSeconds === undefined ? "" : `;t=${shown(waitSeconds)}`;
  const limit = rates.map(({ name, remaining }) => `"${name}";r=${shown(remaining)}${wait}`);
  const fields: Field[] = [
    ["ratelimit-policy", policy.join(", ")],
    ["ratelimit", limit.join(", ")],
  ];
  return legacy ? [...fields, ...legacyFields(rates, waitSeconds)] : fields;
}

/** What older clients read: the bucket with the least left. */
function legacyFields(rates: readonly RateStatus[], waitSeconds: number | undefined): readonly Field[] {
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
