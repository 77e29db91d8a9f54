import type { Route } from "./route-table.ts";

const COST = /^\d{1,9}$/;
const SCOPES = /^[A-Za-z0-9][A-Za-z0-9:._/-]{0,63}(?: [A-Za-z0-9][A-Za-z0-9:._/-]{0,63})*$/;

/** Undefined if `scopes` or `cost` is malformed: a restriction that cannot be read must not be ignored. */
export type NarrowRoute = (route: Route, extensions: ReadonlyMap<string, string>) => Route | undefined;

/** `context_extensions` come from Envoy's configuration, so a route has few variants. */
const MAX_NARROWED = 100;

/**
 * Applies the `context_extensions` of Envoy's own configuration to a route. No client can set them. `scopes` are required in
 * addition, and `cost` counts if it is higher. So extensions can only narrow: scopes on a public route require a key.
 * Equal extensions give the same object, because other caches are keyed by the route.
 */
export function createRouteNarrowing(): NarrowRoute {
  const narrowed = new WeakMap<Route, Map<string, Route>>();
  return (route, extensions) => {
    const scopes = extensions.get("scopes");
    const cost = extensions.get("cost");
    if (scopes === undefined && cost === undefined) return route;
    if (cost !== undefined && !COST.test(cost)) return undefined;
    if (scopes !== undefined && !SCOPES.test(scopes)) return undefined;
    const variants = narrowed.get(route) ?? new Map<string, Route>();
    const id = `${scopes ?? "-"},${cost ?? "-"}`;
    const variant = variants.get(id) ?? narrow(route, scopes, cost);
    if (variants.size < MAX_NARROWED) narrowed.set(route, variants.set(id, variant));
    return variant;
  };
}

function narrow(route: Route, scopes: string | undefined, cost: string | undefined): Route {
  return {
    ...route,
    public: route.public && scopes === undefined,
    scopes: [...new Set([...route.scopes, ...(scopes?.split(" ") ?? [])])],
    cost: Math.max(route.cost, Number(cost ?? 0)),
  };
}
