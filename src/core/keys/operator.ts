import type { Policy, Role } from "../policy/policy.ts";

/** The caller of the key API. */
export type Caller =
  | { readonly kind: "anonymous"; readonly address: string }
  /** The holder of an `ADMIN_TOKEN`. It can do everything and grant every role. */
  | { readonly kind: "admin"; readonly id: string }
  /** The holder of a key with a valid signature that may have ended. It can only revoke the key. */
  | { readonly kind: "holder"; readonly id: string }
  /** The holder of a valid key. Its scopes determine what it can do. */
  | { readonly kind: "key"; readonly id: string; readonly role: Role; readonly scopes: readonly string[] }
  /** An operator that has signed in by OpenID Connect. The policy maps its claims to a role and to scopes. */
  | { readonly kind: "person"; readonly id: string; readonly role: Role; readonly scopes: readonly string[] }
  /** A holder that has signed in by OpenID Connect. It manages the keys of one owner. */
  | {
      readonly kind: "owner";
      readonly id: string;
      readonly owner: string;
      /** Roles whose keys it may create and rotate. None of them has operator scopes. */
      readonly roles: ReadonlySet<string>;
    };

/** A caller whose role and scopes say what it may do. */
type RoleCaller = Extract<Caller, { readonly role: Role }>;

function hasRole(caller: Caller): caller is RoleCaller {
  return caller.kind === "key" || caller.kind === "person";
}

export type OperatorScope =
  | "keys:read"
  | "keys:write"
  | "limits:write"
  | "audit:read"
  | "system:read"
  | "system:write";

export const OPERATOR_SCOPES: readonly OperatorScope[] = [
  "keys:read",
  "keys:write",
  "limits:write",
  "audit:read",
  "system:read",
  "system:write",
];

/** Whether the caller has an operator scope. */
export function callerHas(caller: Caller, scope: OperatorScope): boolean {
  return caller.kind === "admin" || (hasRole(caller) && caller.scopes.includes(scope));
}

/** All scopes that a key can reach: its own, those that it can grant, and those that the granted keys can grant in turn. */
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

/** Whether the caller may assign this plan to a key. */
export function mayAssignPlan(caller: Caller, plan: string): boolean {
  if (caller.kind === "admin") return true;
  return callerHas(caller, "limits:write") && hasRole(caller) && caller.role.mayAssignPlans.includes(plan);
}

/**
 * Whether the caller may grant a key of this role with these scopes. The caller's role must list the role in `may_grant`, even
 * for a key without scopes, because upstreams also decide by the role. The reach of the key must be within the caller's.
 */
export function mayGrant(caller: Caller, scopes: readonly string[], role: Role, policy: Policy): boolean {
  if (caller.kind === "admin") return true;
  if (!hasRole(caller) || !caller.scopes.includes("keys:write")) return false;
  if (!caller.role.mayGrant.includes(role.name)) return false;
  const held = reach(caller.scopes, caller.role, policy);
  return [...reach(scopes, role, policy)].every((scope) => held.has(scope));
}

/** Whether the caller may issue the successor of a key now. An owner may do so for its own keys of the roles that it may create. */
export function mayRotate(
  caller: Caller,
  key: { readonly owner?: string; readonly scopes: readonly string[] },
  role: Role,
  policy: Policy,
): boolean {
  if (caller.kind === "owner") return key.owner === caller.owner && caller.roles.has(role.name);
  return mayGrant(caller, key.scopes, role, policy);
}

/** The caller's name in audit lines. It never contains a credential. */
export function callerName(caller: Caller): string {
  switch (caller.kind) {
    case "anonymous":
      return "anonymous";
    case "admin":
      return `admin:${caller.id}`;
    case "holder":
    case "key":
      return `key:${caller.id}`;
    case "person":
      return `person:${caller.id}`;
    case "owner":
      return `owner:${caller.id}`;
  }
}
