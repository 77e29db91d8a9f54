import type { Decision, Reason } from "../decision/decision.ts";
import type { Principal } from "../decision/principal.ts";
import { ownerOf } from "../decision/principal.ts";
import type { Mode } from "../policy/policy.ts";
import { FamilyCounts } from "./family-counts.ts";
import type { UsageOutcome } from "./usage-amount.ts";

type MeteredKey = Pick<Principal, "family" | "owner" | "issuer" | "counts">;

/** Counts what families use, in memory, until it is taken. */
export interface UsageMeter {
  /**
   * Counts a decision of an authenticated key. Nothing else is counted: without a key, a client creates no entry. Routes in
   * shadow mode are not counted, because their decisions have no effect.
   */
  count(decision: Decision, mode: Mode): void;
  /** Counts an amount of a unit that was charged after the response. */
  charge(key: MeteredKey, unit: string, amount: number): void;
  /** Everything since the last call, by family. The caller releases each of them. */
  take(): ReadonlyMap<string, FamilyCounts>;
}

export interface UsageMeterOptions {
  /** Families at a time. */
  readonly maxFamilies?: number;
  /** Families of other issuers at a time: an issuer can have more subjects than Latchkey has keys. */
  readonly maxForeignFamilies?: number;
  /** Whether nothing is counted at present. */
  readonly isStopped: () => boolean;
  /** Called for each request and charge that is not counted. */
  readonly onDropped: (why: "too_many" | "stopped") => void;
}

/** Bounds memory: a family of one route takes about 140 bytes. */
const MAX_FAMILIES = 100_000;
const MAX_FOREIGN_FAMILIES = 50_000;

const LIMITED: ReadonlySet<Reason> = new Set<Reason>(["rate_limited", "quota_exceeded"]);

/** On the path of every Check, so a known key and route costs no look-up in a table and no allocation. */
export function createUsageMeter(options: UsageMeterOptions): UsageMeter {
  const { maxFamilies = MAX_FAMILIES, maxForeignFamilies = MAX_FOREIGN_FAMILIES } = options;
  const { isStopped, onDropped } = options;
  let families = new Map<string, FamilyCounts>();
  let foreign = 0;
  let collection = Symbol();
  const countsOf = (key: MeteredKey): FamilyCounts | undefined => families.get(key.family) ?? begin(key);
  const countsFrom = (key: MeteredKey): FamilyCounts | undefined => {
    if (key.counts?.collection === collection) return key.counts;
    const counts = countsOf(key);
    counts?.reachedFrom(key);
    return counts;
  };
  const begin = (key: MeteredKey): FamilyCounts | undefined => {
    if (isStopped()) return drop("stopped");
    const isForeign = key.issuer !== undefined;
    if (families.size >= maxFamilies || (isForeign && foreign >= maxForeignFamilies)) return drop("too_many");
    if (isForeign) foreign++;
    const counts = new FamilyCounts(ownerOf(key), collection);
    families.set(key.family, counts);
    return counts;
  };
  const drop = (why: "too_many" | "stopped") => {
    onDropped(why);
    return undefined;
  };
  return {
    count({ principal, reason, route, verdict }, mode) {
      if (principal === undefined || mode === "shadow") return;
      const cost = verdict === "allow" && route !== undefined ? route.cost : 0;
      countsFrom(principal)?.count(outcomeOf(reason), route?.label, cost);
    },
    charge(key, unit, charged) {
      countsOf(key)?.charge(unit, charged);
    },
    take() {
      const taken = families;
      families = new Map();
      foreign = 0;
      collection = Symbol();
      return taken;
    },
  };
}

function outcomeOf(reason: Reason): UsageOutcome {
  if (reason === "allowed") return "allowed";
  return LIMITED.has(reason) ? "limited" : "denied";
}
