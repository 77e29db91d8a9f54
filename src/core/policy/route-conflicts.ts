import type { Pattern } from "./route-pattern.ts";
import { parsePattern } from "./route-pattern.ts";
import type { Route } from "./route-table.ts";
import { hostCloseness, matchesMethod } from "./route-table.ts";

/** Two routes of which neither is the closer one. Numbers are positions in the given list. */
export interface RouteConflict {
  readonly first: number;
  readonly second: number;
  readonly why: string;
}

/** A file with thousands of routes can have millions of conflicts, and no author reads more than these. */
const MAX_CONFLICTS = 100;

/**
 * Pairs of routes that match the same request although neither is closer in both path and host; at most 100. The policy file
 * rejects them, because a wrong guess would grant access. Without a conflict, every host and path has one most specific pattern
 * and host, in any order of the routes. Routes with the same pattern and host then differ in their methods.
 */
export function routeConflicts(routes: readonly Route[]): readonly RouteConflict[] {
  const placed = routes.map((route, index): Placed => {
    const parsed = parsePattern(route.pattern);
    return { route, index, pattern: parsed.ok ? parsed.value : [] };
  });
  return [...samePatternConflicts(placed), ...crossedConflicts(placed)].slice(0, MAX_CONFLICTS);
}

/** A route with its position and its parsed pattern. */
interface Placed {
  readonly route: Route;
  readonly index: number;
  readonly pattern: Pattern;
}

/** Two routes with one path are equally close if they name the same host pattern, or both name none. */
function samePatternConflicts(placed: readonly Placed[]): readonly RouteConflict[] {
  const groups = new Map<string, Placed[]>();
  const found = new Map<string, RouteConflict>();
  for (const one of placed) {
    for (const host of hostsOf(one.route)) {
      const group = childOf(groups, `${host} /${one.pattern.join("/")}`, () => []);
      for (const other of group) {
        if (found.size >= MAX_CONFLICTS) return [...found.values()];
        if (other === one || !methodsOverlap(other.route, one.route)) continue;
        const why = "have the same path, host and method";
        found.set(`${other.index} ${one.index}`, { first: other.index, second: one.index, why });
      }
      group.push(one);
    }
  }
  return [...found.values()];
}

/** The group of routes without a host. */
const ANY_HOST = "";

function hostsOf({ hosts }: Route): readonly string[] {
  return hosts.length === 0 ? [ANY_HOST] : hosts;
}

interface Node {
  readonly children: Map<string, Node>;
  /** Routes whose pattern ends at this node. `**` counts as a segment. */
  readonly here: Placed[];
}

const newNode = (): Node => ({ children: new Map(), here: [] });

/**
 * Conflicts of a route that is closer by host with one that is closer by path. To stay fast, a route is compared only with routes
 * of wider hosts, and of these only with routes whose pattern overlaps in a trie.
 */
function crossedConflicts(placed: readonly Placed[]): readonly RouteConflict[] {
  const byHost = new Map<string, Node>();
  for (const one of placed)
    for (const host of hostsOf(one.route)) insert(childOf(byHost, host, newNode), one);
  const found = new Map<string, RouteConflict>();
  for (const one of placed) {
    for (const host of new Set(one.route.hosts.flatMap(widerHosts))) {
      for (const other of closerByPath(byHost.get(host), one.pattern)) {
        if (found.size >= MAX_CONFLICTS) return [...found.values()];
        if (!closerByHost(one.route, other.route)) continue;
        const first = Math.min(one.index, other.index);
        const second = Math.max(one.index, other.index);
        const why = "cross: one is closer by host, the other by path; give both the same hosts";
        found.set(`${first} ${second}`, { first, second, why });
      }
    }
  }
  return [...found.values()];
}

/** The host patterns that match the same hosts less closely: any host, and each `*.` above this one. */
function widerHosts(host: string): readonly string[] {
  const wider = [ANY_HOST];
  const from = host.startsWith("*.") ? 2 : 0;
  for (let dot = host.indexOf(".", from); dot !== -1; dot = host.indexOf(".", dot + 1))
    wider.push(`*${host.slice(dot)}`);
  return wider;
}

function insert(root: Node, placed: Placed): void {
  let node = root;
  for (const segment of placed.pattern) node = childOf(node.children, segment, newNode);
  node.here.push(placed);
}

function childOf<T>(children: Map<string, T>, name: string, make: () => T): T {
  const known = children.get(name) ?? make();
  children.set(name, known);
  return known;
}

/** The routes whose pattern overlaps this one and is the closer of the two. The first difference decides, as in the look-up. */
function closerByPath(root: Node | undefined, pattern: Pattern): readonly Placed[] {
  const found: Placed[] = [];
  let node = root;
  for (const [depth, segment] of pattern.entries()) {
    if (node === undefined) break;
    if (segment === "**") for (const placed of node.here) found.push(placed);
    if (segment === "**" || segment === "*")
      for (const [name, child] of node.children)
        if (name !== "**" && name !== segment) collectOverlapping(child, pattern, depth + 1, found);
    node = node.children.get(segment);
  }
  return found;
}

/** Collects the routes below a node whose pattern overlaps the rest of this one. */
function collectOverlapping(node: Node, pattern: Pattern, depth: number, found: Placed[]): void {
  const last = pattern.length - 1;
  const segment = pattern[Math.min(depth, last)] === "**" ? "**" : pattern[depth];
  if (segment === undefined || segment === "**") for (const placed of node.here) found.push(placed);
  for (const [name, child] of childrenFor(node, segment))
    if (name === "**") for (const placed of child.here) found.push(placed);
    else collectOverlapping(child, pattern, depth + 1, found);
}

/** The children that overlap a segment; undefined stands for the end of the pattern. */
function childrenFor({ children }: Node, segment: string | undefined): Iterable<readonly [string, Node]> {
  if (segment === "*" || segment === "**") return children;
  const names = segment === undefined ? ["**"] : [segment, "*", "**"];
  return names.flatMap((name) => {
    const child = children.get(name);
    return child === undefined ? [] : [[name, child] as const];
  });
}

function methodsOverlap(a: Route, b: Route): boolean {
  return (
    a.methods.length === 0 ||
    a.methods.some((method) => matchesMethod(b, method)) ||
    b.methods.some((method) => matchesMethod(a, method))
  );
}

/**
 * Whether `a` is closer for some host that both match. Closeness changes only at a named host, so `a` names a host, or a wildcard,
 * that `b` covers by a wider one and does not name.
 */
function closerByHost(a: Route, b: Route): boolean {
  return a.hosts.some((host) => !b.hosts.includes(host) && hostCloseness(b.hosts, host) >= 0);
}
