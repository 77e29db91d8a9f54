import type { AuthRequest } from "../decision/request.ts";
import { parsePattern } from "./route-pattern.ts";
import type { ScopeRequirement } from "./scopes.ts";

/** One entry of the policy's `routes`. */
export interface Route extends ScopeRequirement {
  /** The metric's label: the entry's `name`, else its pattern. */
  readonly label: string;
  readonly pattern: string;
  /** Empty: every method. `GET` covers `HEAD`. */
  readonly methods: readonly string[];
  /** Empty: every host. `*.example.com` matches every host below that domain. Lower case. */
  readonly hosts: readonly string[];
  /** Served without a key. */
  readonly public: boolean;
  /** Tokens that a request takes from each bucket; 0 takes none. */
  readonly cost: number;
  /** Units that are charged after the response. Their quotas are looked at before. */
  readonly charges: readonly string[];
  /** What a request takes of a unit in advance. The charge corrects it. */
  readonly reserve?: Reservation;
  /** `shadow` decides and records, and lets every request through: a trial beside the upstream's present protection. */
  readonly mode: "enforce" | "shadow";
  readonly stripCredential: boolean;
}

export interface Reservation {
  readonly unit: string;
  /** Whole units, from 1. */
  readonly amount: number;
}

/** Finds the closest route of a request. Path and host select it, then the method must match. */
export interface RouteTable {
  find(request: Pick<AuthRequest, "path" | "host" | "method">): Route | undefined;
}

interface Node {
  readonly literals: Map<string, Node>;
  star: Node | undefined;
  /** Routes whose pattern ends at this node. */
  readonly here: Route[];
  /** Routes whose pattern ends at this node with `**`. */
  readonly rest: Route[];
}

const newNode = (): Node => ({ literals: new Map(), star: undefined, here: [], rest: [] });

/**
 * Builds a trie. A look-up visits the segments of the request, so its time does not depend on the number of routes. All patterns
 * must be valid, and `routeConflicts` must find no conflict. The policy file guarantees both. Throws for an invalid pattern.
 */
export function createRouteTable(routes: readonly Route[]): RouteTable {
  const { add, table } = buildRouteTable();
  for (const route of routes) add(route);
  return table;
}

/** Like {@link createRouteTable}, but route by route, for a policy that is loaded while requests are decided. */
export function buildRouteTable(): { add(route: Route): void; readonly table: RouteTable } {
  const root = newNode();
  const table: RouteTable = {
    find(request) {
      const candidates = closestRoutes(root, request.path.segments, 0, request.host);
      return candidates?.find((route) => matchesMethod(route, request.method));
    },
  };
  return { add: (route) => insert(root, route), table };
}

function insert(root: Node, route: Route): void {
  const pattern = parsePattern(route.pattern);
  if (!pattern.ok) throw new RangeError(pattern.why);
  let node = root;
  for (const segment of pattern.value) {
    if (segment === "**") {
      node.rest.push(route);
      return;
    }
    node = segment === "*" ? starChildOf(node) : literalChildOf(node, segment);
  }
  node.here.push(route);
}

function starChildOf(node: Node): Node {
  node.star ??= newNode();
  return node.star;
}

function literalChildOf(node: Node, literal: string): Node {
  const known = node.literals.get(literal);
  if (known !== undefined) return known;
  const child = newNode();
  node.literals.set(literal, child);
  return child;
}

/** The routes of the closest matching pattern and host, which differ only in methods. Literal before `*` before `**`. */
function closestRoutes(
  node: Node,
  segments: readonly string[],
  depth: number,
  host: string,
): readonly Route[] | undefined {
  const segment = segments[depth];
  if (segment === undefined) return onHost(node.here, host) ?? onHost(node.rest, host);
  const literal = node.literals.get(segment);
  return (
    (literal && closestRoutes(literal, segments, depth + 1, host)) ??
    (node.star && closestRoutes(node.star, segments, depth + 1, host)) ??
    onHost(node.rest, host)
  );
}

/** Of the routes with one pattern, those with the closest host: exact, then the longest wildcard, then any host. */
function onHost(routes: readonly Route[], host: string): readonly Route[] | undefined {
  const [first] = routes;
  if (first === undefined) return undefined;
  // Most patterns have one route, which needs no new list.
  if (routes.length === 1) return hostCloseness(first.hosts, host) < 0 ? undefined : routes;
  let best = -1;
  let matching: Route[] = [];
  for (const route of routes) {
    const closeness = hostCloseness(route.hosts, host);
    if (closeness < 0 || closeness < best) continue;
    if (closeness > best) matching = [];
    best = closeness;
    matching.push(route);
  }
  return matching.length === 0 ? undefined : matching;
}

/** −1: no match; 0: any host; otherwise a larger number is closer, and an exact name is the closest. */
export function hostCloseness(hosts: readonly string[], host: string): number {
  if (hosts.length === 0) return 0;
  let best = -1;
  for (const pattern of hosts) {
    if (pattern === host) return Number.MAX_SAFE_INTEGER;
    if (pattern.startsWith("*.") && host.endsWith(pattern.slice(1)) && host.length > pattern.length - 1) {
      best = Math.max(best, pattern.length);
    }
  }
  return best;
}

export function matchesMethod(route: Route, method: string): boolean {
  return (
    route.methods.length === 0 ||
    route.methods.includes(method) ||
    (method === "HEAD" && route.methods.includes("GET"))
  );
}
