import type { Registry } from "prom-client";
import { Counter, Gauge, Histogram } from "prom-client";

/** 50 µs to 50 ms: a warm Check is at the left end, one that waits for a store at the right. */
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

/** Every metric of ours: docs/reference/metrics.md is compared with what they say of themselves. */
export function createInstruments(registry: Registry) {
  const make = makers(registry);
  return { ...ofDecisions(make), ...ofTheStore(make), ...ofKeys(make), ...ofTheInstance(make) };
}

export type Instruments = ReturnType<typeof createInstruments>;

function ofDecisions({ counter, histogram }: Makers) {
  return {
    decisions: counter("decisions_total", "Checks decided.", ["verdict", "reason", "role", "route", "mode"]),
    decisionDuration: histogram(
      "decision_duration_seconds",
      "Time from a Check's arrival to its answer.",
      DECISION_BUCKETS_SECONDS,
    ),
    verifyCache: counter("verify_cache_total", "JWTs looked up among the verified ones.", ["result"]),
    legacyRequests: counter("legacy_requests_total", "Checks of V1 keys.", ["phase", "verdict"]),
    leases: counter("leases_total", "Exchanges with the shared buckets.", ["result"]),
    leaseTokens: counter("lease_tokens_total", "Tokens leased, and given back unspent.", ["outcome"]),
  };
}

function ofTheStore({ counter, gauge, histogram }: Makers) {
  return {
    storeUp: gauge("store_up", "1 while the store takes writes, else 0."),
    storeCommands: histogram(
      "store_command_duration_seconds",
      "Time that commands to the store took, failed ones too.",
      STORE_BUCKETS_SECONDS,
      ["command"],
    ),
    storeErrors: counter("store_errors_total", "Commands to the store that failed.", ["command", "kind"]),
    staleness: gauge("revocation_staleness_seconds", "Time since revocations were last heard of."),
    clockAhead: gauge(
      "clock_ahead_seconds",
      "How far this machine's clock is ahead of Redis's; negative: behind.",
    ),
  };
}

function ofKeys({ counter, gauge }: Makers) {
  return {
    keysIssued: counter("keys_issued_total", "Keys handed out.", ["role", "how"]),
    keysRefreshed: counter("keys_refreshed_total", "Refreshes that holders asked for.", ["role", "result"]),
    keysRevoked: counter("keys_revoked_total", "Revocations carried out.", ["by"]),
    keysEnding: gauge("keys_ending", "Keys used within the last hour that end soon.", ["role"]),
    keys: gauge("keys", "Keys that have not expired, as last counted.", ["registered"]),
    selfServiceLimit: gauge("self_service_keys_limit", "The policy's guards.self_service_keys."),
  };
}

function ofTheInstance({ counter, gauge }: Makers) {
  return {
    auditLines: counter("audit_lines_total", "Lines of the audit log.", ["kind"]),
    auditDropped: counter("audit_dropped_total", "Lines about requests that found no room."),
    outputDropped: counter(
      "output_dropped_total",
      "Lines of the log and the audit log that stdout did not take.",
    ),
    auditThrottled: counter(
      "audit_throttled_total",
      "Lines about refusals beyond what one address may leave.",
    ),
    policyReloads: counter("policy_reloads_total", "Changed policies, taken up or refused.", ["result"]),
    keysReloads: counter("signing_keys_reloads_total", "Changed JWT_KEYS_FILEs, taken up or refused.", [
      "result",
    ]),
    clockJumps: counter("clock_jumps_total", "Jumps of the wall clock, or of the store's.", ["clock"]),
    signingKeyInfo: gauge("signing_key_info", "1 for each signing key in force.", ["kid", "use"]),
    signingKeyAge: gauge("signing_key_age_seconds", "Time since a signing key was added.", ["kid", "use"]),
    tokenRefusals: counter("token_refusals_total", "Credentials refused at Checks, by cause.", [
      "issuer",
      "cause",
    ]),
    issuerFetches: counter("issuer_fetches_total", "Key sets asked of other issuers.", ["issuer", "result"]),
    certificateEnd: gauge("certificate_end_timestamp_seconds", "When a door's certificate ends.", ["door"]),
    policyInfo: gauge("policy_info", "1 for the policy in force.", ["hash"]),
    buildInfo: gauge("build_info", "1 for the running version.", ["version"]),
  };
}
