import type { Policy } from "../../core/policy/policy.ts";
import type { Instruments } from "./instruments.ts";

/** What became of the keys that this instance was asked about. */
export interface KeyCounters {
  issued(role: string, how: "registered" | "refreshed" | "rotated" | "migrated"): void;
  /** A role of none: the key that was to be refreshed was not good. The result is one of ours, or a reason. */
  refreshed(role: string | undefined, result: string): void;
  revoked(by: "holder" | "operator" | "cut_off"): void;
  /** Keys that have not expired, counted in the background. */
  counted(count: { readonly unexpired: number; readonly selfService: number }): void;
}

export function createKeyCounters(
  { keysIssued, keysRefreshed, keysRevoked, keys }: Instruments,
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
  };
}
