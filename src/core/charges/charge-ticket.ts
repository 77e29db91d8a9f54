import type { Principal } from "../decision/principal.ts";
import type { Mode } from "../policy/policy.ts";
import type { Reservation } from "../policy/route-table.ts";

/** The fields of a key that its quotas and its usage depend on. */
export type ChargedKey = Pick<Principal, "family" | "owner" | "role" | "plan" | "issuer">;

/** What an admitted request may be charged. Equal requests have the same object, so that it is encoded once. */
export interface ChargeGrant {
  readonly mode: Mode;
  /** The label of the route. */
  readonly route: string;
  readonly units: readonly string[];
  /** What the request has reserved, and the names of the quotas that it was taken from. */
  readonly reserved?: Reservation & { readonly quotas: readonly string[] };
}

/** Whose quotas one admitted request is charged to. */
export interface ChargeTicket {
  readonly key: ChargedKey;
  readonly grant: ChargeGrant;
  /** Of the Check. Each of its units counts once. */
  readonly decisionId: string;
  /** When the request was admitted, by the store's clock in milliseconds. */
  readonly issuedMs: number;
}

export interface ChargeTickets {
  /** A text that only Latchkey can make, for this request alone. */
  issue(key: ChargedKey, grant: ChargeGrant, decisionId: string): string;
  /** Undefined if Latchkey has not issued the text. */
  open(text: string): ChargeTicket | undefined;
}
