import type { Registry } from "prom-client";
import { Counter, Gauge, Histogram } from "prom-client";

/** 50 µs to 50 ms: from a Check that needs only memory to one that waits for the store. */
const DECISION_BUCKETS_SECONDS = [0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05];
const STORE_BUCKETS_SECONDS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];

function makers(registry: Registry) {
  const registers = [registry];
  return {
    counter: <Label extends string>(name: string, help: string, labelNames: readonly Label[] = []) =>
      new Counter({ name: `latchkey_${name}`, help, labelNames, registers }),
    gauge: <Label extends string>(name: string, help: string, labelNames: readonly Label[] = []) =>
      new Gauge({ name: `latchkey_${name}`, help, labelNames, registers }),
    histogram: <Label extends string>(
      name: string,
      help: string,
      buckets: number[],
      labelNames: readonly Label[] = [],
    ) => new Histogram({ name: `latchkey_${name}`, help, buckets, labelNames, registers }),
  };
}

type Makers = ReturnType<typeof makers>;

/** Every metric of Latchkey. A test compares docs/reference/metrics.md with it. */
export function createInstruments(registry: Registry) {
  const make = makers(registry);
  return {
    ...ofDecisions(make),
    ...ofTheStore(make),
    ...ofKeys(make),
    ...ofUsage(make),
    ...ofTheInstance(make),
    ...ofTheGrpcServer(make),
  };
}

export type Instruments = ReturnType<typeof createInstruments>;

function ofDecisions({ counter, histogram }: Makers) {
  return {
    decisions: counter("decisions_total", "Decided Checks.", ["verdict", "reason", "role", "route", "mode"]),
    decisionDuration: histogram(
      "decision_duration_seconds",
      "Time from a Check's arrival to its response, in seconds.",
      DECISION_BUCKETS_SECONDS,
    ),
    forwardAuth: counter("forward_auth_responses_total", "Responses of the forward-auth listener.", [
      "form",
      "status",
    ]),
    rateLimitDecisions: counter(
      "rate_limit_decisions_total",
      "Descriptors decided for Envoy's Rate Limit Service.",
      ["domain", "result"],
    ),
    charges: counter("charges_total", "Charges after the response, by what became of them.", [
      "unit",
      "result",
    ]),
    chargedUnits: counter("charged_units_total", "Units that were charged after the response.", ["unit"]),
    verifyCache: counter("verify_cache_total", "Lookups in the cache of verified JWTs.", ["result"]),
    unknownPlans: counter(
      "unknown_plans_total",
      "Permitted requests of keys with a plan that the policy does not have.",
    ),
    legacyRequests: counter("legacy_requests_total", "Checks of V1 keys.", ["phase", "verdict"]),
    leases: counter("leases_total", "Exchanges with the shared buckets.", ["result"]),
    quotaUnits: counter(
      "quota_units_total",
      "Units of quotas: of expired leases, and counted without the store, posted to it later, or lost.",
      ["result"],
    ),
    leaseTokens: counter(
      "lease_tokens_total",
      "Tokens leased from the shared buckets, and tokens returned unspent.",
      ["outcome"],
    ),
  };
}

function ofTheStore({ counter, gauge, histogram }: Makers) {
  return {
    storeUp: gauge("store_up", "1 while the store accepts writes, otherwise 0."),
    storeCommands: histogram(
      "store_command_duration_seconds",
      "Time of commands to the store, in seconds, failed commands included.",
      STORE_BUCKETS_SECONDS,
      ["command"],
    ),
    storeErrors: counter("store_errors_total", "Failed commands to the store.", ["command", "kind"]),
    redisFailovers: counter(
      "redis_failovers_total",
      "Moves of this instance to another primary of Redis: failovers, and restarts of Redis.",
    ),
    redisPrimary: gauge("redis_primary_info", "1 for the primary of Redis.", ["topology", "address"]),
    redisUncoveredSlots: gauge(
      "redis_uncovered_slots",
      "Slots of the Redis Cluster without a primary that works; 0 without a Cluster.",
    ),
    lostWrites: counter(
      "lost_writes_total",
      "Changes of this instance that Redis had lost, by what became of them.",
      ["outcome"],
    ),
    staleness: gauge(
      "revocation_staleness_seconds",
      "Seconds since the instance last received the revocation feed.",
    ),
    clockAhead: gauge(
      "clock_ahead_seconds",
      "Seconds by which this machine's clock is ahead of Redis's; negative if it is behind.",
    ),
  };
}

function ofKeys({ counter, gauge }: Makers) {
  return {
    keysIssued: counter("keys_issued_total", "Issued keys.", ["role", "how"]),
    keysRefreshed: counter("keys_refreshed_total", "Refresh requests of key holders.", ["role", "result"]),
    keysRevoked: counter("keys_revoked_total", "Revocations.", ["by"]),
    keysEnding: gauge("keys_ending", "Keys used within the last hour that expire soon.", ["role"]),
    keys: gauge("keys", "Unexpired keys at the last count.", ["registered"]),
    frozen: gauge("registry_frozen", "1 while the registry is frozen, so that it can be copied."),
    overrides: gauge("overrides", "Overrides in force at the last count, by their subjects.", ["subject"]),
    overridesUnknown: gauge(
      "overrides_unknown",
      "Overrides that name a plan or a quota that the policy does not have.",
    ),
    selfServiceLimit: gauge("self_service_keys_limit", "The limit guards.self_service_keys of the policy."),
  };
}

function ofUsage({ counter, gauge }: Makers) {
  return {
    usageDropped: counter("usage_dropped_total", "Requests and charges that were not counted as usage.", [
      "why",
    ]),
    usageWaiting: gauge("usage_waiting", "Families and hours whose usage waits to be stored."),
    usageBytes: gauge("usage_bytes", "Estimated bytes of all usage in the store."),
    usageStopped: gauge("usage_stopped", "1 while usage is not counted because of USAGE_MAX_BYTES, else 0."),
  };
}

function ofTheInstance({ counter, gauge }: Makers) {
  return {
    auditLines: counter("audit_lines_total", "Lines of the audit log.", ["kind"]),
    auditDropped: counter(
      "audit_dropped_total",
      "Lines about requests that were dropped because the queue was full.",
    ),
    outputDropped: counter(
      "output_dropped_total",
      "Lines of the log and the audit log that stdout did not accept.",
    ),
    auditThrottled: counter("audit_throttled_total", "Lines about denials above the limit of one address."),
    policyReloads: counter("policy_reloads_total", "Reloads of a changed policy.", ["result"]),
    keysReloads: counter("signing_keys_reloads_total", "Reloads of a changed JWT_KEYS_FILE.", ["result"]),
    clockJumps: counter("clock_jumps_total", "Jumps of the wall clock or of the store's clock.", ["clock"]),
    signingKeyInfo: gauge("signing_key_info", "1 for each active signing key.", ["kid", "use"]),
    signingKeyAge: gauge("signing_key_age_seconds", "Seconds since a signing key was added.", ["kid", "use"]),
    tokenRefusals: counter("token_refusals_total", "Credentials rejected at Checks, by cause.", [
      "issuer",
      "cause",
    ]),
    issuerFetches: counter("issuer_fetches_total", "Fetches of key sets from other issuers.", [
      "issuer",
      "result",
    ]),
    certificateEnd: gauge(
      "certificate_end_timestamp_seconds",
      "When a listener's certificate expires, in Unix time.",
      ["listener"],
    ),
    policyInfo: gauge("policy_info", "1 for the active policy.", ["hash"]),
    buildInfo: gauge("build_info", "1 for the running version.", ["version"]),
  };
}

function ofTheGrpcServer({ counter }: Makers) {
  return {
    grpcShadow: counter(
      "grpc_shadow_comparisons_total",
      "Comparisons of the gRPC server with its shadow (GRPC_SERVER=shadow).",
      ["result"],
    ),
  };
}
