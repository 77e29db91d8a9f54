import type { OverrideCount } from "../../core/overrides/count-overrides.ts";
import type { Policy } from "../../core/policy/policy.ts";
import type { Instruments } from "./instruments.ts";

/** Counts what this instance did with keys. */
export interface KeyCounters {
  issued(role: string, how: "registered" | "refreshed" | "rotated" | "migrated"): void;
  /** The role is undefined if the presented key was not valid. The result is `refreshed` or such, or a reason. */
  refreshed(role: string | undefined, result: string): void;
  revoked(by: "holder" | "operator" | "cut_off"): void;
  /** Sets the number of unexpired keys, which is counted in the background. */
  counted(count: { readonly unexpired: number; readonly selfService: number }): void;
  /** Sets the number of overrides in force, which is counted in the background. */
  overridesCounted(count: Pick<OverrideCount, "family" | "owner" | "unknown">): void;
}

export function createKeyCounters(
  { keysIssued, keysRefreshed, keysRevoked, keys, overrides, overridesUnknown }: Instruments,
  roles: () => Policy["roles"],
): KeyCounters {
  for (const by of ["holder", "operator", "cut_off"]) keysRevoked.inc({ by }, 0);
  const labelOf = (role: string) => (roles().has(role) ? role : "other");
  return {
    issued: (role, how) => keysIssued.inc({ role: labelOf(role), how }),
    refreshed: (role, result) =>
      keysRefreshed.inc({ role: role === undefined ? "none" : labelOf(role), result }),
    revoked: (by) => keysRevoked.inc({ by }),
    counted({ unexpired, selfService }) {
      keys.set({ registered: "self_service" }, selfService);
      keys.set({ registered: "operator" }, unexpired - selfService);
    },
    overridesCounted({ family, owner, unknown }) {
      overrides.set({ subject: "family" }, family);
      overrides.set({ subject: "owner" }, owner);
      overridesUnknown.set(unknown);
    },
  };
}
