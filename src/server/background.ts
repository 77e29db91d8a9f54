import { setImmediate as nextTurn } from "node:timers/promises";
import type { Clock } from "../core/clock.ts";
import type { KeyCount, KeyStore } from "../core/keys/ports.ts";
import type { RevocationView } from "../core/revocation/revocation-view.ts";
import { repeat } from "./repeat.ts";

type Work = () => Promise<void>;

export interface UpkeepOptions {
  readonly store: Pick<KeyStore, "noteUse" | "sweep" | "count">;
  readonly view: Pick<RevocationView, "sweep">;
  readonly clock: Pick<Clock, "storeNowMs" | "forgetBeforeMs">;
  /** Hears how many keys there are. */
  readonly counted: (count: KeyCount) => void;
  /** Says when work begins to fail and when it works again; it is tried again at its next turn. */
  readonly saying: (name: string, work: Work) => [work: Work, failed: (error: unknown) => void];
}

export interface BackgroundWork {
  /** Notes that a key has just been let through. Costs one entry in memory; no Check waits for the store. */
  recordUse(keyId: string): void;
  /** Ends the turns and writes what is noted. */
  close(): Promise<void>;
}

const NOTE_EVERY_MS = 2000;
const SWEEP_EVERY_MS = 30_000;
const COUNT_EVERY_MS = 15_000;
/** Rows a turn: the embedded store writes on the thread that answers Checks. */
const PORTION = 500;
/** Beyond this many keys waiting to be noted, further ones wait for a later use. */
const MAX_NOTED = 200_000;

/** What an instance does beside its requests, a little at a time: notes last uses, forgets what is over. */
export function createUpkeep(options: UpkeepOptions): BackgroundWork {
  const { store, view, clock, saying } = options;
  const pending = new Map<string, number>();
  const nowSeconds = () => Math.floor(clock.storeNowMs() / 1000);

  const notePortion = async () => {
    const portion = new Map([...pending.entries().take(PORTION)]);
    for (const keyId of portion.keys()) pending.delete(keyId);
    if (portion.size > 0) await store.noteUse(portion);
  };
  const sweep = async () => {
    const beforeMs = clock.forgetBeforeMs();
    if (beforeMs !== undefined) await view.sweep(beforeMs, nextTurn);
    // Also where nothing may be forgotten: the store notes that it was open.
    await store.sweep(Math.floor((beforeMs ?? 0) / 1000), PORTION);
  };
  const count = async () => options.counted(await store.count(nowSeconds()));
  const turns = [
    repeat(NOTE_EVERY_MS, ...saying("noting when keys were used", notePortion)),
    repeat(SWEEP_EVERY_MS, ...saying("forgetting keys whose retention is over", sweep)),
    repeat(COUNT_EVERY_MS, ...saying("counting keys", count)),
  ];
  return {
    recordUse(keyId) {
      if (pending.size < MAX_NOTED) pending.set(keyId, nowSeconds());
    },
    async close() {
      await Promise.all(turns.map((end) => end()));
      while (pending.size > 0) await notePortion();
    },
  };
}
