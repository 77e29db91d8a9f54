import type { Pattern } from "./route-pattern.ts";
import { parsePattern } from "./route-pattern.ts";
import type { Route } from "./route-table.ts";
import { hostCloseness, takesMethod } from "./route-table.ts";

/** Two routes of which neither is the closer one. Numbers are positions in the list that was given. */
export interface RouteConflict {
  readonly first: number;
  readonly second: number;
  readonly why: string;
}

/** More help nobody, and a file of thousands of routes can have millions. */
const MAX_CONFLICTS = 100;

/**
 * Pairs of routes that could both claim a request without one being the closer in path and in host, at most 100 of them.
 * The policy file refuses them: guessing the author's mind would open doors. Where there is none, every host and path has one
 * most specific pattern and host, whatever the order of the routes; the routes that have both differ in their methods.
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

/** Two routes of one path whose hosts tie name one host pattern, or both none: so each is compared with those of its group. */
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

/** Where a route stands that names no host. */
const ANY_HOST = "";

function hostsOf({ hosts }: Route): readonly string[] {
  return hosts.length === 0 ? [ANY_HOST] : hosts;
}

interface Node {
  readonly children: Map<string, Node>;
  /** Routes whose pattern ends here, `**` being a segment. */
  readonly here: Placed[];
}

const newNode = (): Node => ({ children: new Map(), here: [] });

/**
 * One route closer by its path, the other by its host: it cannot be said which was meant. A route is compared with those alone
 * that may take a host of its own less closely, and of these with those that its pattern meets in a trie.
 */
function crossedConflicts(placed: readonly Placed[]): readonly RouteConflict[] {
  const byHost = new Map<string, Node>();
  for (const one of placed)
    for (const host of hostsOf(one.route)) insert(childOf(byHost, host, newNode), one);
  const found = new Map<string, RouteConflict>();
  for (const one of placed) {
    const met = new Set(one.route.hosts.flatMap(widerHosts));
    for (const host of met) {
      for (const other of closerByPath(byHost.get(host), one.pattern)) {
        if (found.size >= MAX_CONFLICTS) return [...found.values()];
        if (!closerByHost(one.route, other.route)) continue;
        const [first, second] = one.index < other.index ? [one.index, other.index] : [other.index, one.index];
        const why = "cross: one is closer by host, the other by path; give both the same hosts";
        found.set(`${first} ${second}`, { first, second, why });
      }
    }
  }
  return [...found.values()];
}

/** The host patterns that take what this one takes, less closely: any host, and each `*.` above it. */
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

/** Those whose pattern overlaps this one and is the closer of the two: the first difference decides, as in the look-up. */
function closerByPath(root: Node | undefined, pattern: Pattern): readonly Placed[] {
  const found: Placed[] = [];
  let node = root;
  for (let depth = 0; node !== undefined && depth < pattern.length; depth++) {
    const segment = pattern[depth] ?? "";
    if (segment === "**") for (const placed of node.here) found.push(placed);
    if (segment === "**" || segment === "*")
      for (const [name, child] of node.children)
        if (name !== "**" && name !== segment) collectOverlapping(child, pattern, depth + 1, found);
    node = node.children.get(segment);
  }
  return found;
}

/** Those below a node whose pattern overlaps the rest of this one. */
function collectOverlapping(node: Node, pattern: Pattern, depth: number, found: Placed[]): void {
  const last = pattern.length - 1;
  const segment = pattern[Math.min(depth, last)] === "**" ? "**" : pattern[depth];
  if (segment === undefined || segment === "**") for (const placed of node.here) found.push(placed);
  for (const [name, child] of childrenFor(node, segment))
    if (name === "**") for (const placed of child.here) found.push(placed);
    else collectOverlapping(child, pattern, depth + 1, found);
}

/** The children that a segment of a pattern overlaps; undefined: its end. */
function childrenFor({ children }: Node, segment: string | undefined): Iterable<readonly [string, Node]> {
  if (segment === "*" || segment === "**") return children;
  const names = segment === undefined ? ["**"] : [segment, "*", "**"];
  return names.flatMap((name) => {
    const child = children.get(name);
    return child === undefined ? [] : [[name, child] as const];
  });
}

function methodsOverlap(a: Route, b: Route): boolean {
  if (a.methods.length === 0 || b.methods.length === 0) return true;
  return (
    a.methods.some((method) => takesMethod(b, method)) || b.methods.some((method) => takesMethod(a, method))
  );
}

/**
 * Whether a is the closer one for some host that both take. What takes hosts changes only at a host that one of them names, so
 * a host of each of a's patterns is enough: the name itself, or one below the wildcard that no policy can name.
 */
function closerByHost(a: Route, b: Route): boolean {
  return a.hosts.some((host) => {
    const sample = host.startsWith("*.") ? `?${host.slice(1)}` : host;
    const other = hostCloseness(b.hosts, sample);
    return other >= 0 && other < hostCloseness(a.hosts, sample);
  });
}
