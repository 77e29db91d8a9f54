import { decodeCopiedPhase, encodeCopiedPhase } from "../core/copy/copied-phase.ts";
import type { PhaseRow, RowStore } from "../core/copy/ports.ts";
import type { KeyStore } from "../core/keys/ports.ts";
import { encodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { SharedState } from "./shared-state.ts";

/** @param id the id of this store */
export function createPhaseRows(
  state: SharedState,
  store: Pick<KeyStore, "migration">,
  id: string,
): RowStore<PhaseRow> {
  const nameOf = (from: string) => `copied_phase:${from}`;
  return {
    count: async () => undefined,
    async *pages() {
      const phase = await store.migration();
      if (phase !== undefined) yield [{ state: phase, from: id }];
    },
    find: (rows) =>
      Promise.all(
        rows.map(async ({ from }) => {
          const copied = state.get(nameOf(from));
          const phase = await store.migration();
          return (
            phase && {
              state: phase,
              from,
              ...(copied !== undefined && { copied: decodeCopiedPhase(copied) }),
            }
          );
        }),
      ),
    async put(changes) {
      return changes.map(({ row }) => {
        state.set({
          migration: encodeFeedEntry({ kind: "phase", state: row.state }),
          [nameOf(row.from)]: encodeCopiedPhase(row),
        });
        return "written";
      });
    },
  };
}
