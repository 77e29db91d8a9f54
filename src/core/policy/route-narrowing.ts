import type { Route } from "./route-table.ts";

const COST = /^\d{1,9}$/;
const SCOPES = /^[A-Za-z0-9][A-Za-z0-9:._/-]{0,63}(?: [A-Za-z0-9][A-Za-z0-9:._/-]{0,63})*$/;

/**
 * What Envoy's own configuration adds to a route, by `context_extensions` that no client can set: `scopes`, which are
 * needed as well, and `cost`, where it is the larger. So it can only narrow: scopes on a public route ask for a key.
 * Undefined when one of the two has a wrong form: what was meant to narrow must not be passed over.
 */
export function narrowedRoute(route: Route, extensions: ReadonlyMap<string, string>): Route | undefined {
  const scopes = extensions.get("scopes");
  const cost = extensions.get("cost");
  if (scopes === undefined && cost === undefined) return route;
  if (cost !== undefined && !COST.test(cost)) return undefined;
  if (scopes !== undefined && !SCOPES.test(scopes)) return undefined;
  const known = narrowed.get(route) ?? new Map<string, Route>();
  const asked = `${scopes ?? "-"},${cost ?? "-"}`;
  const made = known.get(asked) ?? narrow(route, scopes, cost);
  if (known.size < MAX_NARROWED) narrowed.set(route, known.set(asked, made));
  return made;
}

/** The same one each time, for much is kept for each route; of few, since they stand in a configuration. */
const narrowed = new WeakMap<Route, Map<string, Route>>();
const MAX_NARROWED = 100;

function narrow(route: Route, scopes: string | undefined, cost: string | undefined): Route {
  return {
    ...route,
    public: route.public && scopes === undefined,
    scopes: [...new Set([...route.scopes, ...(scopes?.split(" ") ?? [])])],
    cost: Math.max(route.cost, Number(cost ?? 0)),
  };
}
