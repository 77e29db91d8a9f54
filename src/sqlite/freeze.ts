import type { DatabaseSync } from "node:sqlite";
import { encodeFreeze, frozenUntil } from "../core/keys/freeze.ts";
import type { Freeze, KeyChange } from "../core/keys/key-change.ts";
import { stopsWhileFrozen } from "../core/keys/key-change.ts";
import { createSharedState } from "./shared-state.ts";
import { TransactionAborted } from "./transaction.ts";

const NAME = "freeze";

/** The freeze in the database. It also applies after a restart, until it ends. */
export function createFreeze(sqlite: DatabaseSync) {
  const state = createSharedState(sqlite);
  const until = (nowSeconds: number) => frozenUntil(state.get(NAME), nowSeconds);
  return {
    until,
    /** Throws {@link TransactionAborted} if the freeze stops the change. */
    require(change: KeyChange, nowSeconds: number): void {
      const end = stopsWhileFrozen(change) ? until(nowSeconds) : undefined;
      if (end !== undefined) throw new TransactionAborted({ kind: "frozen", until: end });
    },
    /** Must run in a transaction. */
    write(freeze: Freeze | "thaw"): void {
      state.setOne(NAME, freeze === "thaw" ? "" : encodeFreeze(freeze));
    },
  };
}
