import { collectDefaultMetrics, Registry } from "prom-client";
import type { Decision } from "../../core/decision/decision.ts";
import type { Mode, Policy } from "../../core/policy/policy.ts";
import type { DecisionCounters, DecisionTotal } from "./decision-counters.ts";
import { createDecisionCounters } from "./decision-counters.ts";
import { createExpiringKeys } from "./expiring-keys.ts";
import type { InstanceMeter } from "./instance-meter.ts";
import { createInstanceMeter } from "./instance-meter.ts";
import type { Instruments } from "./instruments.ts";
import { createInstruments } from "./instruments.ts";
import type { KeyCounters } from "./key-counters.ts";
import { createKeyCounters } from "./key-counters.ts";
import type { LegacyCounters } from "./legacy-counters.ts";
import { createLegacyCounters } from "./legacy-counters.ts";
import type { StoreMeter } from "./store-meter.ts";
import { createStoreMeter } from "./store-meter.ts";
import type { UsageGauges } from "./usage-gauges.ts";
import { createUsageGauges } from "./usage-gauges.ts";

/** We render its samples: prom-client takes 20 µs for each, on the thread that decides. */
const DECISIONS = "latchkey_decisions_total";

export interface Metrics extends InstanceMeter {
  /** Counts a decision, and observes its duration. */
  countDecision(decision: Decision, facts: { readonly elapsedNs: bigint; readonly mode: Mode }): void;
  verifyCache(result: "hit" | "miss"): void;
  readonly keys: KeyCounters;
  readonly store: StoreMeter;
  readonly usage: UsageGauges;
  policyInForce(policy: Policy): void;
  /** From now on each scrape reads these values. */
  observe(values: Partial<ObservedValues>): void;
  /** The decisions so far. */
  decisionTotals(): readonly DecisionTotal[];
  /** How many of them took at most how long, ascending; the last bound is infinite. */
  decisionDurations(): Promise<readonly DurationCount[]>;
  /** The text form. Waits for no store. */
  read(): Promise<{ readonly text: string; readonly contentType: string }>;
}

export interface DurationCount {
  readonly atMostMs: number;
  readonly count: number;
}

/** Values of other modules, which each scrape reads. */
export interface ObservedValues {
  /** The phase of V1 keys. */
  phase(): string;
  /** Milliseconds since the revocation feed was last received. */
  stalenessMs(): number;
  /** Milliseconds that this machine's clock is ahead of the store's. */
  clockAheadMs(): number;
}

/** Before the store has responded. */
const UNOBSERVED: ObservedValues = {
  phase: () => "silent",
  stalenessMs: () => Number.POSITIVE_INFINITY,
  clockAheadMs: () => 0,
};

export interface MetricsOptions {
  readonly version: string;
  readonly nowMs: () => number;
  /** Lines that the output has dropped so far. */
  readonly outputDropped: () => number;
}

/** Labels come from closed sets only: reasons, the policy's roles and routes. Never a key id, a path or an address. */
export function createMetrics({ version, nowMs, outputDropped }: MetricsOptions): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const instruments = createInstruments(registry);
  let observed = UNOBSERVED;
  const decisions = createDecisionCounters();
  const legacy = createLegacyCounters(() => observed.phase());
  const expiring = createExpiringKeys();
  const duration = instruments.decisionDuration.labels({});
  const cache = { hit: 0, miss: 0 };
  let roles: Policy["roles"] = new Map();
  const instance = createInstanceMeter(instruments);
  instruments.buildInfo.set({ version }, 1);
  return {
    countDecision(decision, { elapsedNs, mode }) {
      const { principal, verdict } = decision;
      decisions.count(decision, mode);
      if (principal?.legacy !== undefined) legacy.count(verdict);
      if (principal !== undefined && verdict === "allow") expiring.recordUse(principal, nowMs());
      duration.observe(Number(elapsedNs) / 1e9);
    },
    verifyCache: (result) => void cache[result]++,
    ...createMeters(instruments, () => roles),
    ...instance,
    policyInForce(policy) {
      roles = policy.roles;
      decisions.policyInForce(policy);
      instruments.selfServiceLimit.set(policy.guards.selfServiceKeysMax);
      instruments.policyInfo.reset();
      instruments.policyInfo.set({ hash: policy.hash }, 1);
    },
    observe(values) {
      observed = { ...observed, ...values };
    },
    decisionTotals: decisions.totals,
    async read() {
      syncCounters(instruments, { legacy, cache, outputDropped });
      syncGauges(instruments, observed);
      instance.atTime(nowMs());
      const expiringByRole = expiring.byRole(nowMs());
      instruments.keysEnding.reset();
      for (const role of roles.keys()) instruments.keysEnding.set({ role }, expiringByRole.get(role) ?? 0);
      const text = await withSamples(await registry.metrics(), DECISIONS, decisions);
      return { text, contentType: registry.contentType };
    },
  };
}

async function durationsOf({ decisionDuration }: Instruments): Promise<readonly DurationCount[]> {
  const { values } = await decisionDuration.get();
  return values.flatMap(({ labels: { le }, value }) => {
    if (le === undefined) return [];
    return [{ atMostMs: le === "+Inf" ? Number.POSITIVE_INFINITY : Number(le) * 1000, count: value }];
  });
}

function createMeters(
  instruments: Instruments,
  roles: () => Policy["roles"],
): Pick<Metrics, "keys" | "store" | "usage" | "decisionDurations"> {
  return {
    decisionDurations: () => durationsOf(instruments),
    keys: createKeyCounters(instruments, roles),
    store: createStoreMeter(instruments),
    usage: createUsageGauges(instruments),
  };
}

function syncGauges(instruments: Instruments, observed: ObservedValues): void {
  instruments.staleness.set(observed.stalenessMs() / 1000);
  instruments.clockAhead.set(observed.clockAheadMs() / 1000);
}

interface OwnCounts {
  readonly legacy: LegacyCounters;
  readonly cache: Readonly<Record<"hit" | "miss", number>>;
  readonly outputDropped: () => number;
}

/** What each Check counts is kept outside prom-client, which makes strings at each count, and copied into it at each scrape. */
function syncCounters(instruments: Instruments, { legacy, cache, outputDropped: dropped }: OwnCounts): void {
  const { verifyCache, legacyRequests, outputDropped } = instruments;
  for (const counter of [verifyCache, legacyRequests, outputDropped]) counter.reset();
  for (const result of ["hit", "miss"] as const) verifyCache.inc({ result }, cache[result]);
  for (const { labels, value } of legacy.all()) legacyRequests.inc(labels, value);
  outputDropped.inc(dropped());
}

/** Inserts the samples of a metric of which prom-client knows only the name, after its head. */
async function withSamples(text: string, metric: string, counters: DecisionCounters): Promise<string> {
  const head = `# TYPE ${metric} counter\n`;
  const at = text.indexOf(head) + head.length;
  const parts = [text.slice(0, at)];
  for await (const slice of counters.render(metric)) parts.push(slice);
  parts.push(text.slice(at));
  return parts.join("");
}
