import { collectDefaultMetrics, Registry } from "prom-client";
import type { Decision } from "../../core/decision/decision.ts";
import type { Mode, Policy } from "../../core/policy/policy.ts";
import type { DecisionCounts } from "./decision-counts.ts";
import { createDecisionCounts } from "./decision-counts.ts";
import { createEndingKeys } from "./expiring-keys.ts";
import type { InstanceMeter } from "./instance-meter.ts";
import { createInstanceMeter } from "./instance-meter.ts";
import type { Instruments } from "./instruments.ts";
import { createInstruments } from "./instruments.ts";
import type { KeyCounters } from "./key-counters.ts";
import { createKeyCounters } from "./key-counters.ts";
import type { LegacyCounts } from "./legacy-counts.ts";
import { createLegacyCounts } from "./legacy-counts.ts";
import type { StoreMeter } from "./store-meter.ts";
import { createStoreMeter } from "./store-meter.ts";

/** Its samples are rendered by us: prom-client takes 20 µs for each, on the thread that decides. */
const DECISIONS = "latchkey_decisions_total";

export interface Metrics extends InstanceMeter {
  decided(decision: Decision, about: { readonly elapsedNs: bigint; readonly mode: Mode }): void;
  verifyCache(result: "hit" | "miss"): void;
  readonly keys: KeyCounters;
  readonly store: StoreMeter;
  policyInForce(policy: Policy): void;
  /** The text form, without asking anybody. */
  read(): Promise<{ readonly text: string; readonly contentType: string }>;
}

export interface MetricsOptions {
  readonly version: string;
  /** The phase of V1 keys. */
  readonly phase: () => string;
  readonly nowMs: () => number;
  /** Since revocations were last heard of; looked at when somebody reads. */
  readonly stalenessMs: () => number;
  /** Lines that the output did not take; looked at when somebody reads. */
  readonly outputDropped: () => number;
  /** Of this machine's clock, as against the store's. */
  readonly clockAheadMs: () => number;
}

/** Labels come from closed sets only: reasons, the policy's roles and routes. Never a key id, a path or an address. */
export function createMetrics(options: MetricsOptions): Metrics {
  const { nowMs } = options;
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const instruments = createInstruments(registry);
  const decisions = createDecisionCounts();
  const legacy = createLegacyCounts(options.phase);
  const ending = createEndingKeys();
  const duration = instruments.decisionDuration.labels({});
  const cache = { hit: 0, miss: 0 };
  let roles: Policy["roles"] = new Map();
  const instance = createInstanceMeter(instruments);
  instruments.buildInfo.set({ version: options.version }, 1);
  return {
    decided(decision, { elapsedNs, mode }) {
      const { principal, verdict } = decision;
      decisions.count(decision, mode);
      if (principal?.legacy !== undefined) legacy.count(verdict);
      if (principal !== undefined && verdict === "allow") ending.recordUse(principal, nowMs());
      duration.observe(Number(elapsedNs) / 1e9);
    },
    verifyCache: (result) => void cache[result]++,
    keys: createKeyCounters(instruments, () => roles),
    store: createStoreMeter(instruments),
    ...instance,
    policyInForce(policy) {
      roles = policy.roles;
      decisions.policyInForce(policy);
      instruments.selfServiceLimit.set(policy.guards.selfServiceKeysMax);
      instruments.policyInfo.reset();
      instruments.policyInfo.set({ hash: policy.hash }, 1);
    },
    async read() {
      syncCounters(instruments, { legacy, cache });
      const soon = ending.byRole(nowMs());
      instruments.keysEnding.reset();
      for (const role of roles.keys()) instruments.keysEnding.set({ role }, soon.get(role) ?? 0);
      instance.atTime(nowMs());
      readOptions(instruments, options);
      const text = await withSamples(await registry.metrics(), DECISIONS, decisions);
      return { text, contentType: registry.contentType };
    },
  };
}

/** What other parts know, as it is when somebody reads. */
function readOptions(instruments: Instruments, options: MetricsOptions): void {
  instruments.staleness.set(options.stalenessMs() / 1000);
  instruments.outputDropped.reset();
  instruments.outputDropped.inc(options.outputDropped());
  instruments.clockAhead.set(options.clockAheadMs() / 1000);
}

interface OwnCounts {
  readonly legacy: LegacyCounts;
  readonly cache: Readonly<Record<"hit" | "miss", number>>;
}

/** What each Check counts is kept beside prom-client, which makes strings at each count, and brought in when somebody reads. */
function syncCounters(instruments: Instruments, { legacy, cache }: OwnCounts): void {
  const { verifyCache, legacyRequests } = instruments;
  for (const counter of [verifyCache, legacyRequests]) counter.reset();
  for (const result of ["hit", "miss"] as const) verifyCache.inc({ result }, cache[result]);
  for (const { labels, value } of legacy.all()) legacyRequests.inc(labels, value);
}

/** The samples of one metric that prom-client knows by name only, put where its head is. */
async function withSamples(text: string, metric: string, counts: DecisionCounts): Promise<string> {
  const head = `# TYPE ${metric} counter\n`;
  const at = text.indexOf(head) + head.length;
  const parts = [text.slice(0, at)];
  for await (const slice of counts.render(metric)) parts.push(slice);
  parts.push(text.slice(at));
  return parts.join("");
}
