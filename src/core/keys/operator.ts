import type { Policy, Role } from "../policy/policy.ts";

/** Who calls the key API, once it is known. */
export type Caller =
  | { readonly kind: "anonymous"; readonly address: string }
  /** One of `ADMIN_TOKEN`: it may do everything, and grant every role. */
  | { readonly kind: "admin"; readonly id: string }
  /** Whoever holds a key that is verified but not judged: it may be ended, and nothing else. */
  | { readonly kind: "holder"; readonly id: string }
  /** A good key; what it may do is in its scopes. */
  | { readonly kind: "key"; readonly id: string; readonly role: Role; readonly scopes: readonly string[] };

export type OperatorScope = "keys:read" | "keys:write" | "audit:read" | "system:write";

export const OPERATOR_SCOPES: readonly OperatorScope[] = [
  "keys:read",
  "keys:write",
  "audit:read",
  "system:write",
];

/** Whether the caller may do what this operator scope stands for. */
export function callerHas(caller: Caller, scope: OperatorScope): boolean {
  return caller.kind === "admin" || (caller.kind === "key" && caller.scopes.includes(scope));
}

/** Everything that a key with these scopes can do or have others do: what it may grant, and what those may grant. */
export function reach(scopes: readonly string[], role: Role, policy: Policy): ReadonlySet<string> {
  const reached = new Set(scopes);
  const granters = scopes.includes("keys:write") ? [role] : [];
  const seen = new Set<Role>();
  for (let granter = granters.pop(); granter !== undefined; granter = granters.pop()) {
    if (seen.has(granter)) continue;
    seen.add(granter);
    for (const granted of granter.mayGrant.map((name) => policy.roles.get(name))) {
      for (const scope of granted?.scopes ?? []) reached.add(scope);
      if (granted?.scopes.has("keys:write")) granters.push(granted);
    }
  }
  return reached;
}

/**
 * Whether the caller may hand out a key of this role with these scopes. The caller's role lists the role in `may_grant`,
 * whatever the scopes, since upstreams decide by the role too. All that the key can reach is within the caller's own reach.
 */
export function mayGrant(caller: Caller, scopes: readonly string[], role: Role, policy: Policy): boolean {
  if (caller.kind === "admin") return true;
  if (caller.kind !== "key" || !caller.scopes.includes("keys:write")) return false;
  if (!caller.role.mayGrant.includes(role.name)) return false;
  const held = reach(caller.scopes, caller.role, policy);
  return [...reach(scopes, role, policy)].every((scope) => held.has(scope));
}

/** How an audit line names the caller: never by a credential. */
export function callerName(caller: Caller): string {
  switch (caller.kind) {
    case "anonymous":
      return "anonymous";
    case "admin":
      return `admin:${caller.id}`;
    case "holder":
    case "key":
      return `key:${caller.id}`;
  }
}
