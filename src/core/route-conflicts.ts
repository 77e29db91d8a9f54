import type { Pattern } from "./route-pattern.ts";
import { comparePatterns, overlaps, parsePattern } from "./route-pattern.ts";
import type { Route } from "./route-table.ts";
import { hostCloseness, takesMethod } from "./route-table.ts";

/** Two routes of which neither is the closer one. Numbers are positions in the list that was given. */
export interface RouteConflict {
  readonly first: number;
  readonly second: number;
  readonly why: string;
}

/**
 * Every pair of routes that could both claim a request without one being the closer in path and in host.
 * The policy file refuses them: guessing the author's mind would open doors.
 */
export function routeConflicts(routes: readonly Route[]): readonly RouteConflict[] {
  const conflicts: RouteConflict[] = [];
  const patterns = routes.map((route) => {
    const parsed = parsePattern(route.pattern);
    return parsed.ok ? parsed.value : [];
  });
  const groups = new Map<string, number[]>();
  for (const [index, pattern] of patterns.entries()) {
    const key = pattern.join("/");
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [index]);
    else group.push(index);
  }
  for (const group of groups.values()) conflicts.push(...samePatternConflicts(routes, group));
  conflicts.push(...crossedConflicts(routes, patterns));
  return conflicts;
}

function samePatternConflicts(routes: readonly Route[], group: readonly number[]): RouteConflict[] {
  const conflicts: RouteConflict[] = [];
  for (const [position, first] of group.entries()) {
    for (const second of group.slice(position + 1)) {
      const a = routes[first];
      const b = routes[second];
      if (a === undefined || b === undefined || !methodsOverlap(a, b) || !hostsTie(a, b)) continue;
      conflicts.push({ first, second, why: "have the same path, host and method" });
    }
  }
  return conflicts;
}

/** One route closer by its path, the other by its host: nobody could say which was meant. Only routes with hosts can cross. */
function crossedConflicts(routes: readonly Route[], patterns: readonly Pattern[]): RouteConflict[] {
  const conflicts: RouteConflict[] = [];
  for (const [first, a] of routes.entries()) {
    if (a.hosts.length === 0) continue;
    for (const [second, b] of routes.entries()) {
      const pathA = patterns[first];
      const pathB = patterns[second];
      if (first === second || pathA === undefined || pathB === undefined) continue;
      if (closerByHost(a, b) && overlaps(pathA, pathB) && comparePatterns(pathA, pathB) > 0) {
        conflicts.push({
          first: Math.min(first, second),
          second: Math.max(first, second),
          why: "cross: one is closer by host, the other by path; give both the same hosts",
        });
      }
    }
  }
  return conflicts;
}

function methodsOverlap(a: Route, b: Route): boolean {
  if (a.methods.length === 0 || b.methods.length === 0) return true;
  return (
    a.methods.some((method) => takesMethod(b, method)) || b.methods.some((method) => takesMethod(a, method))
  );
}

/** Whether some host is claimed by both with the same closeness. */
function hostsTie(a: Route, b: Route): boolean {
  if (a.hosts.length === 0 || b.hosts.length === 0) return a.hosts.length === b.hosts.length;
  return a.hosts.some((host) => b.hosts.includes(host));
}

/** Whether a is the closer one for some host that both take. */
function closerByHost(a: Route, b: Route): boolean {
  return a.hosts.some((host) => {
    const sample = host.startsWith("*.") ? `x${host.slice(1)}` : host;
    const other = hostCloseness(b.hosts, sample);
    return other >= 0 && other < hostCloseness(a.hosts, sample);
  });
}
