import { createClockCache } from "../core/cache/clock-cache.ts";
import { memoize } from "../core/cache/memoize.ts";
import type { Allow, RateStatus } from "../core/decision/decision.ts";
import { ownerOf } from "../core/decision/principal.ts";
import type { ByteString } from "../grpc/protobuf-writer.ts";
import { createTemplate, flatten } from "../grpc/protobuf-writer.ts";
import type { IdentityHeader } from "./allow-fragments.ts";
import { headerSafe, keyFragment } from "./allow-fragments.ts";
import type { AllowBytes } from "./check-response-encoder.ts";
import { okBytes, plainBytes } from "./check-response-encoder.ts";
import { overwrite, policyHeaders } from "./header-options.ts";

/** The parts of an allow that `keyFragment` describes. */
export type EncodeKey = (
  decision: Pick<Allow, "principal" | "scopes" | "rates">,
  forwardPrefix: string,
) => AllowBytes;

/**
 * Encodes `keyFragment` without creating it, because a key that is seen only once is encoded only for its one response. Everything
 * but ids and names is equal for many keys.
 */
export function createKeyEncoder(): EncodeKey {
  const encodeScopes = createScopesEncoder();
  const encodePolicy = createPolicyEncoder();
  return ({ principal, scopes, rates }, forwardPrefix) => {
    const policy = rates.length === 0 ? "" : encodePolicy(rates);
    if (principal === undefined) return { ok: withoutKey(forwardPrefix) + policy, metadata: "" };
    const { keyId, family, role, name } = principal;
    const header = identityHeaders(forwardPrefix);
    const granted = encodeScopes(scopes, forwardPrefix);
    return {
      ok:
        header.keyId(keyId) +
        header.family(family) +
        header.owner(ownerOf(principal)) +
        header.role(role) +
        header.name(headerSafe(name)) +
        granted.ok +
        policy,
      metadata: keyIdMetadata(keyId) + familyMetadata(family) + roleMetadata(role) + granted.metadata,
    };
  };
}

/** Whether all limits are equal, whatever the tokens left. */
export function sameLimits(a: readonly RateStatus[], b: readonly RateStatus[]): boolean {
  if (a.length !== b.length) return false;
  // A callback would be allocated for each response.
  let index = 0;
  for (const limit of a) if (!sameLimit(limit, b[index++])) return false;
  return true;
}

function sameLimit(a: RateStatus, b: RateStatus | undefined): boolean {
  return a.name === b?.name && a.capacity === b.capacity && a.windowSeconds === b.windowSeconds;
}

const identityHeaders = memoize(16, (prefix) => {
  const header = (identity: IdentityHeader) =>
    createTemplate((value) => okBytes({ headers: [overwrite(prefix + identity, value)] }));
  return {
    keyId: header("key-id"),
    family: header("family"),
    owner: header("owner"),
    role: header("role"),
    name: header("name"),
  };
});
const keyIdMetadata = createTemplate((value) => plainBytes({ key_id: value }));
const familyMetadata = createTemplate((value) => plainBytes({ family: value }));
const roleMetadata = createTemplate((value) => plainBytes({ role: value }));

/** The headers of a request without a key, which removes those of the client. */
const withoutKey = memoize(16, (forwardPrefix) =>
  flatten(okBytes(keyFragment({ scopes: [], rates: [] }, { forwardPrefix }).ok)),
);

/** Lists of scopes. Keys with equal scopes share one list. */
const MAX_SCOPE_LISTS = 256;

interface ScopesBytes extends AllowBytes {
  readonly forwardPrefix: string;
}

function createScopesEncoder(): (scopes: readonly string[], forwardPrefix: string) => AllowBytes {
  const known = createClockCache<readonly string[], ScopesBytes>(MAX_SCOPE_LISTS);
  return (scopes, forwardPrefix) => {
    const kept = known.get(scopes);
    if (kept?.forwardPrefix === forwardPrefix) return kept;
    const bytes = {
      ok: flatten(okBytes({ headers: [overwrite(`${forwardPrefix}scopes`, scopes.join(" "))] })),
      metadata: flatten(plainBytes({ scopes })),
      forwardPrefix,
    };
    known.set(scopes, bytes);
    return bytes;
  };
}

/** A power of two. */
const POLICY_PLACES = 256;

/** Equal limits have one place, and replace the previous ones there. */
function createPolicyEncoder(): (rates: readonly RateStatus[]) => ByteString {
  const known: ({ readonly rates: readonly RateStatus[]; readonly ok: ByteString } | undefined)[] = new Array(
    POLICY_PLACES,
  ).fill(undefined);
  return (rates) => {
    const place = placeOfLimits(rates) & (POLICY_PLACES - 1);
    const kept = known[place];
    if (kept !== undefined && sameLimits(kept.rates, rates)) return kept.ok;
    const ok = flatten(okBytes({ response_headers_to_add: policyHeaders(rates) }));
    known[place] = { rates, ok };
    return ok;
  };
}

function placeOfLimits(rates: readonly RateStatus[]): number {
  let place = rates.length;
  for (const { capacity, windowSeconds } of rates) place = place * 31 + capacity * 7 + windowSeconds;
  return place;
}
