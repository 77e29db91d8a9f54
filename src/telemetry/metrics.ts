import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { Decision } from "../core/decision.ts";
import type { Mode, Policy } from "../core/policy.ts";

/** 50 µs to 50 ms: a warm Check is at the left end, one that waits for a store at the right. */
const DECISION_BUCKETS_SECONDS = [0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05];

export interface Metrics {
  decided(decision: Decision, about: { readonly elapsedNs: bigint; readonly mode: Mode }): void;
  verifyCache(result: "hit" | "miss"): void;
  issued(role: string, how: "registered" | "refreshed" | "rotated" | "migrated"): void;
  leases(what: "granted" | "refused" | "failed" | "returned", tokens: number): void;
  policyInForce(policy: Policy): void;
  auditLines(kind: "lifecycle" | "request" | "gap", lines: number): void;
  auditDropped(): void;
  /** Asked at each scrape. */
  revocationStaleness(seconds: () => number): void;
  policyReload(result: "taken" | "refused"): void;
  /** The keys in force; the first kid signs. */
  signingKeys(ring: { readonly kids: readonly string[] }): void;
  keysReload(result: "taken" | "refused"): void;
  /** The text form, without asking anybody. */
  read(): Promise<{ readonly text: string; readonly contentType: string }>;
}

/** Labels come from closed sets only: reasons, the policy's roles and routes. Never a key id, a path or an address. */
export function createMetrics(version: string, phase: () => string): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const instruments = createInstruments([registry]);
  const { decisions, duration, cache, keysIssued, leases, leaseTokens, policyInfo } = instruments;
  instruments.buildInfo.set({ version }, 1);
  let routeLabels: ReadonlySet<string> = new Set();
  return {
    decided(decision, { elapsedNs, mode }) {
      const label = decision.route?.label ?? "none";
      decisions.inc({
        verdict: decision.verdict,
        reason: decision.reason,
        role: decision.principal?.role ?? "none",
        route: label === "none" || routeLabels.has(label) ? label : "other",
        mode,
      });
      if (decision.principal?.legacy !== undefined)
        instruments.legacyRequests.inc({ phase: phase(), verdict: decision.verdict });
      duration.observe(Number(elapsedNs) / 1e9);
    },
    verifyCache: (result) => cache.inc({ result }),
    issued: (role, how) => keysIssued.inc({ role, how }),
    leases(what, tokens) {
      leases.inc({ result: what });
      if (tokens > 0) leaseTokens.inc({ outcome: what }, tokens);
    },
    revocationStaleness: (seconds) => addStaleness(registry, seconds),
    auditLines: (kind, lines) => instruments.auditLines.inc({ kind }, lines),
    auditDropped: () => instruments.auditDropped.inc(),
    policyReload: (result) => instruments.policyReloads.inc({ result }),
    keysReload: (result) => instruments.keysReloads.inc({ result }),
    signingKeys({ kids }) {
      instruments.signingKeyInfo.reset();
      for (const [at, kid] of kids.entries())
        instruments.signingKeyInfo.set({ kid, use: at === 0 ? "signs" : "verifies" }, 1);
    },
    policyInForce(policy) {
      routeLabels = policy.routeLabels;
      policyInfo.reset();
      policyInfo.set({ hash: policy.hash }, 1);
    },
    read: async () => ({ text: await registry.metrics(), contentType: registry.contentType }),
  };
}

function addStaleness(registry: Registry, seconds: () => number): void {
  new Gauge({
    name: "latchkey_revocation_staleness_seconds",
    help: "Time since revocations of other instances were last heard of.",
    registers: [registry],
    collect() {
      this.set(seconds());
    },
  });
}

function createInstruments(registers: Registry[]) {
  const counter = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
    new Counter({ name: `latchkey_${name}`, help, labelNames, registers });
  const gauge = <Label extends string>(name: string, help: string, labelNames: readonly Label[]) =>
    new Gauge({ name: `latchkey_${name}`, help, labelNames, registers });
  return {
    decisions: counter("decisions_total", "Checks decided.", ["verdict", "reason", "role", "route", "mode"]),
    duration: new Histogram({
      name: "latchkey_decision_duration_seconds",
      help: "Time from a Check's arrival to its answer.",
      buckets: DECISION_BUCKETS_SECONDS,
      registers,
    }),
    cache: counter("verify_cache_total", "Presented keys found in the cache of verified ones, or not.", [
      "result",
    ]),
    legacyRequests: counter("legacy_requests_total", "Checks of V1 keys.", ["phase", "verdict"]),
    auditLines: counter("audit_lines_total", "Lines of the audit log.", ["kind"]),
    auditDropped: counter("audit_dropped_total", "Lines about requests that found no room.", []),
    keysIssued: counter("keys_issued_total", "Keys handed out.", ["role", "how"]),
    leases: counter("leases_total", "Exchanges with the shared buckets.", ["result"]),
    leaseTokens: counter("lease_tokens_total", "Tokens leased, and given back unspent.", ["outcome"]),
    policyReloads: counter("policy_reloads_total", "Changed policies, taken up or refused.", ["result"]),
    keysReloads: counter("signing_keys_reloads_total", "Changed JWT_KEYS_FILEs, taken up or refused.", [
      "result",
    ]),
    signingKeyInfo: gauge("signing_key_info", "1 for each signing key in force.", ["kid", "use"]),
    policyInfo: gauge("policy_info", "1 for the policy in force.", ["hash"]),
    buildInfo: gauge("build_info", "1 for the running version.", ["version"]),
  };
}
