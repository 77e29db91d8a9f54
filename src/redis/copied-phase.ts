import { decodeCopiedPhase, encodeCopiedPhase } from "../core/copy/copied-phase.ts";
import type { PhaseRow, RowStore } from "../core/copy/ports.ts";
import type { KeyStore } from "../core/keys/ports.ts";
import type { MigrationState } from "../core/legacy/migration.ts";
import { encodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { RedisClient } from "./client.ts";
import { FEED_LENGTH } from "./names.ts";
import { scriptText } from "./script-text.ts";

const SOURCE = scriptText("copy-phase");

/** @param id the id of this store */
export function createPhaseRows(
  client: RedisClient,
  store: Pick<KeyStore, "migration">,
  id: () => Promise<string | undefined>,
): RowStore<PhaseRow> {
  const run = client.script(SOURCE, "copy-phase");
  const { keys } = client;
  const fieldOf = (from: string) => `phase:${from}`;
  return {
    count: async () => undefined,
    async *pages() {
      const state = await store.migration();
      if (state !== undefined) yield [{ state, from: (await id()) ?? "" }];
    },
    find: (rows) =>
      Promise.all(
        rows.map(async ({ from }) => {
          const copied = await client.command("HGET", keys.copies, fieldOf(from));
          const state = await store.migration();
          return (
            state && { state, from, ...(copied !== null && { copied: decodeCopiedPhase(String(copied)) }) }
          );
        }),
      ),
    put: (changes) =>
      Promise.all(
        changes.map(async ({ row, replaced }) => {
          const known = replaced === undefined ? "" : textOf(replaced.state);
          const args = [known, textOf(row.state), fieldOf(row.from), encodeCopiedPhase(row), FEED_LENGTH];
          const written = await run([keys.migration, keys.copies, keys.feed, keys.feedSequence], args);
          return Number(written) === 1 ? "written" : "changed";
        }),
      ),
  };
}

function textOf(state: MigrationState): string {
  return encodeFeedEntry({ kind: "phase", state });
}
