import { setImmediate as nextTurn } from "node:timers/promises";
import type { Decision, Reason } from "../../core/decision/decision.ts";
import { DENY_REASONS, deny } from "../../core/decision/decision.ts";
import type { Mode, Policy } from "../../core/policy/policy.ts";

/** The number of decisions with one combination of labels. */
interface DecisionCount {
  /** The labels in Prometheus's text form. They are made once, so that a scrape of 10,000 combinations only adds numbers. */
  readonly labels: string;
  value: number;
}

/** The number of decisions with one reason. */
export interface DecisionTotal {
  readonly reason: Reason;
  readonly mode: Mode;
  readonly count: number;
}

/** Counts decisions (`latchkey_decisions_total`) by labels from closed sets: reasons, and the roles and routes of the policy in force. */
export interface DecisionCounters {
  count(decision: Decision, mode: Mode): void;
  /** Replaces the sets. Removes roles and routes that only a former policy names. */
  policyInForce(policy: Pick<Policy, "roles" | "routeLabels">): void;
  /** The decisions so far, summed over roles and routes. Removed routes do not count any more. */
  totals(): readonly DecisionTotal[];
  /** Samples in Prometheus's text form, one per line, in slices that each take well under 10 ms to make. */
  render(metric: string): AsyncGenerator<string>;
}

type ByReason = Map<Reason, Partial<Record<Mode, DecisionCount>>>;
type ByRole = Map<string, ByReason>;

/** Counts on the path of every Check, so it creates neither a string nor an object for a known combination. */
export function createDecisionCounters(): DecisionCounters {
  let roles: ReadonlyMap<string, unknown> = new Map();
  let routes: ReadonlySet<string> = new Set();
  const byRoute = new Map<string, ByRole>();

  const find = (route: string, role: string, { reason, verdict }: Decision, mode: Mode): DecisionCount => {
    const byRole = at(byRoute, route, () => new Map());
    const byReason: ByReason = at(byRole, role, () => new Map());
    const byMode: Partial<Record<Mode, DecisionCount>> = at(byReason, reason, () => ({}));
    byMode[mode] ??= { labels: formatLabels({ verdict, reason, role, route, mode }), value: 0 };
    return byMode[mode];
  };
  // Zeros from the start, so that the share of each reason is always a number.
  for (const reason of DENY_REASONS) find("none", "none", deny(reason), "enforce");
  return {
    count(decision, mode) {
      const route = decision.route?.label ?? "none";
      const role = decision.principal?.role ?? "none";
      const knownRoute = route === "none" || routes.has(route) ? route : "other";
      const knownRole = role === "none" || roles.has(role) ? role : "other";
      const known = byRoute.get(knownRoute)?.get(knownRole)?.get(decision.reason)?.[mode];
      (known ?? find(knownRoute, knownRole, decision, mode)).value++;
    },
    policyInForce(policy) {
      roles = policy.roles;
      routes = policy.routeLabels;
      for (const [route, byRole] of byRoute) {
        if (!ALWAYS.has(route) && !routes.has(route)) byRoute.delete(route);
        for (const role of byRole.keys()) if (!ALWAYS.has(role) && !roles.has(role)) byRole.delete(role);
      }
    },
    totals: () => totalsOf(byRoute),
    async *render(metric) {
      let lines: string[] = [];
      for (const { labels, value } of all(byRoute)) {
        lines.push(`${metric}{${labels}} ${value}\n`);
        if (lines.length < LINES_PER_SLICE) continue;
        yield lines.join("");
        lines = [];
        await nextTurn();
      }
      yield lines.join("");
    },
  };
}

/** About 1 ms of work. */
const LINES_PER_SLICE = 2000;

function* all(byRoute: ReadonlyMap<string, ByRole>): Generator<DecisionCount> {
  for (const byRole of byRoute.values())
    for (const byReason of byRole.values())
      for (const byMode of byReason.values()) yield* Object.values(byMode);
}

function totalsOf(byRoute: ReadonlyMap<string, ByRole>): readonly DecisionTotal[] {
  const totals = new Map<string, DecisionTotal>();
  const byReason = [...byRoute.values()].flatMap((byRole) => [...byRole.values()].flatMap((all) => [...all]));
  for (const [reason, byMode] of byReason) {
    for (const mode of MODES) {
      const { value } = byMode[mode] ?? { value: 0 };
      const name = `${mode} ${reason}`;
      if (value > 0) totals.set(name, { reason, mode, count: value + (totals.get(name)?.count ?? 0) });
    }
  }
  return [...totals.values()];
}

const MODES: readonly Mode[] = ["enforce", "shadow"];

/** Prometheus's text format: a label's value escapes backslashes, quotes and line feeds. */
function formatLabels(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(
      ([name, value]) => `${name}="${value.replaceAll(/[\\"\n]/g, (c) => (c === "\n" ? "\\n" : `\\${c}`))}"`,
    )
    .join(",");
}

const ALWAYS: ReadonlySet<string> = new Set(["none", "other"]);

function at<Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value {
  const found = map.get(key) ?? make();
  map.set(key, found);
  return found;
}
