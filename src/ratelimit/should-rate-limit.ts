import { createHash } from "node:crypto";
import type { DescriptorEntry, DescriptorLevel, DescriptorLimit } from "../core/limits/descriptor-limits.ts";
import { limitOfDescriptor } from "../core/limits/descriptor-limits.ts";
import type { BucketStore, TakeOutcome } from "../core/limits/ports.ts";
import type { MaybePromise } from "../core/maybe-promise.ts";
import type { Policy } from "../core/policy/policy.ts";
import { withTimeout } from "../core/timeout.ts";
import type { UnaryMethod } from "../grpc/transport.ts";
import type { RateLimitRequest, ReceivedDescriptor } from "./request-decoder.ts";
import { decodeRateLimitRequest } from "./request-decoder.ts";
import type { DescriptorStatus } from "./response-encoder.ts";
import { encodeRateLimitResponse } from "./response-encoder.ts";

/** The outcome for one descriptor. `shadow` is above the limit, and allowed. `failed` is a request that could not be decided. */
export type RateLimitResult = "ok" | "over_limit" | "shadow" | "unlimited" | "unmatched" | "failed";

export interface ShouldRateLimitPorts {
  readonly policy: () => Pick<Policy, "rateLimitDomains" | "faults">;
  readonly buckets: BucketStore;
  readonly nowMs: () => number;
  /** Called for each descriptor. `domain` is one of the policy's, or `none`. */
  readonly onResult: (domain: string, result: RateLimitResult) => void;
  /** Called with every exception. */
  readonly onFault: (error: unknown) => void;
}

/** Maximum number of requests that wait for the store. One more is decided as a failed one. */
const MAX_PENDING = 32 * 1024;
const MAX_WAIT_MS = 10_000;

/**
 * Decides calls of Envoy's Rate Limit Service. Never throws and never rejects: what cannot be decided gets OVER_LIMIT, or OK with
 * `faults.limits: allow`.
 */
export function createShouldRateLimit(ports: ShouldRateLimitPorts): UnaryMethod["handle"] {
  let pending = 0;
  const fail = (error?: unknown) => respondFailed(ports, error);
  return (message, timeLeftMs) => {
    try {
      if (message === undefined || pending >= MAX_PENDING) return fail();
      const decided = decideAll(ports, decodeRateLimitRequest(message));
      if (!(decided instanceof Promise)) return decided;
      pending++;
      const settle = () => {
        pending--;
      };
      decided.then(settle, settle);
      const budgetMs = Math.max(0, Math.min(0.9 * timeLeftMs, timeLeftMs - 20, MAX_WAIT_MS));
      return withTimeout(decided, budgetMs, () => fail()).catch(fail);
    } catch (error) {
      return fail(error instanceof RangeError ? undefined : error);
    }
  };
}

function respondFailed({ policy, onResult, onFault }: ShouldRateLimitPorts, error: unknown): Uint8Array {
  try {
    onResult("none", "failed");
    if (error !== undefined) onFault(error);
    return encodeRateLimitResponse(policy().faults.limits === "allow" ? "ok" : "over_limit", []);
  } catch {
    return encodeRateLimitResponse("over_limit", []);
  }
}

interface Decided {
  readonly status: DescriptorStatus;
  readonly result: RateLimitResult;
}

/** Each descriptor is decided by itself, so one above its limit spares no other. The request is above the limit if one is. */
function decideAll(ports: ShouldRateLimitPorts, request: RateLimitRequest): MaybePromise<Uint8Array> {
  const domain = ports.policy().rateLimitDomains.get(request.domain);
  const all = request.descriptors.map((descriptor) =>
    domain === undefined ? UNMATCHED : decideOne(ports, domain, request, descriptor),
  );
  const label = domain === undefined ? "none" : request.domain;
  const respond = (decided: readonly Decided[]) => {
    for (const { result } of decided) ports.onResult(label, result);
    const isOver = decided.some(({ status }) => status.code === "over_limit");
    return encodeRateLimitResponse(
      isOver ? "over_limit" : "ok",
      decided.map(({ status }) => status),
    );
  };
  const settled = all.filter((each): each is Decided => !(each instanceof Promise));
  return settled.length === all.length ? respond(settled) : Promise.all(all).then(respond);
}

const UNMATCHED: Decided = { status: { code: "ok" }, result: "unmatched" };
const UNLIMITED: Decided = { status: { code: "ok" }, result: "unlimited" };

function decideOne(
  { buckets, nowMs }: ShouldRateLimitPorts,
  domain: DescriptorLevel,
  request: RateLimitRequest,
  { entries, hits }: ReceivedDescriptor,
): MaybePromise<Decided> {
  const found = limitOfDescriptor(domain, entries);
  if (found === undefined) return UNMATCHED;
  if (found.kind === "unlimited") return UNLIMITED;
  const { capacity } = found.limit;
  const cost = hits ?? (request.hits === 0 ? 1 : request.hits);
  const demand = { bucketId: bucketIdOf(request.domain, entries), limit: found.limit };
  // No bucket holds more than its capacity, so such a request is never admitted, and takes nothing.
  const taken = buckets.take([demand], cost > capacity ? 0 : cost, nowMs());
  const decide = (outcome: TakeOutcome) => statusOf(found, outcome, cost > capacity);
  return taken instanceof Promise ? taken.then(decide) : decide(taken);
}

function statusOf(
  { limit, shadow }: Extract<DescriptorLimit, { kind: "bucket" }>,
  outcome: TakeOutcome,
  exceedsCapacity: boolean,
): Decided {
  const isOver = !outcome.ok || exceedsCapacity;
  const remaining = outcome.rates[0]?.remaining ?? 0;
  const resetSeconds = outcome.ok
    ? (limit.capacity - remaining) / limit.refillPerSecond
    : outcome.retryAfterSeconds;
  return {
    status: {
      code: isOver && !shadow ? "over_limit" : "ok",
      limit: { name: limit.name, bucket: limit, remaining, resetSeconds },
    },
    result: isOver ? (shadow ? "shadow" : "over_limit") : "ok",
  };
}

/** Values of clients are hashed, each with its length, so that none of them becomes a part of a name or another list of entries. */
function bucketIdOf(domain: string, entries: readonly DescriptorEntry[]): string {
  const hash = createHash("sha256");
  for (const text of [domain, ...entries.flatMap(({ key, value }) => [key, value])]) {
    const bytes = Buffer.from(text, "utf8");
    hash.update(`${bytes.length}:`).update(bytes);
  }
  // The name of a role contains no slash.
  return `rls/${hash.digest("hex")}`;
}
