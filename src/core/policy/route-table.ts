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
  /** Empty: every host. `*.example.com` is every host below that domain. Lower case. */
  readonly hosts: readonly string[];
  /** Served without a key. */
  readonly public: boolean;
  /** Tokens that a request takes from each bucket; 0 takes none. */
  readonly cost: number;
  /** `shadow` decides and records, and lets every request through: a trial beside the upstream's present protection. */
  readonly mode: "enforce" | "shadow";
  readonly stripCredential: boolean;
}

/** Finds the closest route of a request: path and host choose it, then its methods must fit. */
export interface RouteTable {
  find(request: Pick<AuthRequest, "path" | "host" | "method">): Route | undefined;
}

interface Node {
  readonly literals: Map<string, Node>;
  star: Node | undefined;
  /** Routes whose pattern ends here. */
  readonly here: Route[];
  /** Routes whose pattern ends here with `**`. */
  readonly rest: Route[];
}

const newNode = (): Node => ({ literals: new Map(), star: undefined, here: [], rest: [] });

/**
 * Builds the trie. Its look-up visits the segments of the request, however many routes there are.
 * Patterns must parse, and `routeConflicts` must find none: the policy file sees to both.
 */
export function createRouteTable(routes: readonly Route[]): RouteTable {
  const { add, table } = buildRouteTable();
  for (const route of routes) add(route);
  return table;
}

/** The same route by route, for a policy that is loaded while requests are decided. */
export function buildRouteTable(): { add(route: Route): void; readonly table: RouteTable } {
  const root = newNode();
  const table: RouteTable = {
    find(request) {
      const candidates = closest(root, request.path.segments, 0, request.host);
      return candidates?.find(
        (route) => takesMethod(route, request.method) && takesHost(route, request.host),
      );
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
    node = segment === "*" ? starChild(node) : literalChild(node, segment);
  }
  node.here.push(route);
}

function starChild(node: Node): Node {
  node.star ??= newNode();
  return node.star;
}

function literalChild(node: Node, literal: string): Node {
  const known = node.literals.get(literal);
  if (known !== undefined) return known;
  const made = newNode();
  node.literals.set(literal, made);
  return made;
}

/** The closest pattern that fits path and host; its routes differ in their methods only. Literal before `*` before `**`. */
function closest(
  node: Node,
  segments: readonly string[],
  depth: number,
  host: string,
): readonly Route[] | undefined {
  const segment = segments[depth];
  if (segment === undefined) return onHost(node.here, host) ?? onHost(node.rest, host);
  const literal = node.literals.get(segment);
  return (
    (literal && closest(literal, segments, depth + 1, host)) ??
    (node.star && closest(node.star, segments, depth + 1, host)) ??
    onHost(node.rest, host)
  );
}

/** Of the routes with one pattern, those for the closest host: the exact one, then the longest wildcard, then any. */
function onHost(routes: readonly Route[], host: string): readonly Route[] | undefined {
  if (routes.length === 0) return undefined;
  let best = -1;
  let fitting: Route[] = [];
  for (const route of routes) {
    const closeness = hostCloseness(route.hosts, host);
    if (closeness < 0 || closeness < best) continue;
    if (closeness > best) fitting = [];
    best = closeness;
    fitting.push(route);
  }
  return fitting.length === 0 ? undefined : fitting;
}

/** −1: not this host; 0: any host; else the larger the closer, an exact name being closest. */
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

function takesHost(route: Route, host: string): boolean {
  return hostCloseness(route.hosts, host) >= 0;
}

export function takesMethod(route: Route, method: string): boolean {
  return (
    route.methods.length === 0 ||
    route.methods.includes(method) ||
    (method === "HEAD" && route.methods.includes("GET"))
  );
}
