import type { Decision } from "../../core/decision/decision.ts";

type Verdict = Decision["verdict"];

/** Counts Checks of V1 keys by migration phase. */
export interface LegacyCounters {
  count(verdict: Verdict): void;
  all(): Iterable<{
    readonly labels: { readonly phase: string; readonly verdict: Verdict };
    readonly value: number;
  }>;
}

/** Reports zeros for the current phase before its first Check. */
export function createLegacyCounters(phase: () => string): LegacyCounters {
  const byPhase = new Map<string, Record<Verdict, number>>();
  const current = () => {
    const counts = byPhase.get(phase()) ?? { allow: 0, deny: 0 };
    byPhase.set(phase(), counts);
    return counts;
  };
  return {
    count: (verdict) => void current()[verdict]++,
    *all() {
      current();
      for (const [name, counts] of byPhase)
        for (const verdict of ["allow", "deny"] as const)
          yield { labels: { phase: name, verdict }, value: counts[verdict] };
    },
  };
}
