import { setImmediate as nextTurn } from "node:timers/promises";
import type { KeyStore } from "../core/keys/ports.ts";
import type { RevocationView } from "../core/revocation/revocation-view.ts";
import { logTransitions } from "../telemetry/outage-log.ts";
import { backgroundWorkFails } from "../telemetry/outage-messages.ts";
import { repeat } from "./repeat.ts";
import type { Runtime } from "./runtime.ts";

export interface BackgroundDeps {
  readonly store: Pick<KeyStore, "noteUse" | "sweep" | "count" | "frozenUntil">;
  readonly view: Pick<RevocationView, "sweep">;
}

export interface BackgroundWork {
  /** Notes that a key was just used. Costs one entry in memory; no Check waits for the store. */
  recordUse(keyId: string): void;
}

const RECORD_EVERY_MS = 2000;
const SWEEP_EVERY_MS = 30_000;
const COUNT_EVERY_MS = 15_000;
/** Rows per turn: other commands to the store wait behind a turn. */
const PORTION = 500;
/** Beyond this many pending keys, further ones wait for a later use. */
const MAX_PENDING = 200_000;

/** Work beside the requests, a little at a time: records last uses, deletes expired data and counts keys. */
export function startBackgroundWork(
  { log, shutdown, clock, metrics }: Runtime,
  { store, view }: BackgroundDeps,
): BackgroundWork {
  const pending = new Map<string, number>();
  const nowSeconds = () => Math.floor(clock.storeNowMs() / 1000);
  const recordPortion = async () => {
    const portion = new Map([...pending.entries().take(PORTION)]);
    for (const keyId of portion.keys()) pending.delete(keyId);
    if (portion.size > 0) await store.noteUse(portion);
  };
  const sweep = async () => {
    const beforeMs = clock.forgetBeforeMs();
    if (beforeMs !== undefined) await view.sweep(beforeMs, nextTurn);
    // Runs also when nothing may be deleted: the store notes that it was open.
    await store.sweep(Math.floor((beforeMs ?? 0) / 1000), PORTION);
  };
  const count = async () => {
    metrics.keys.counted(await store.count(nowSeconds()));
    metrics.keys.frozen((await store.frozenUntil(nowSeconds())) !== undefined);
  };
  const start = (everyMs: number, name: string, work: () => Promise<void>) =>
    repeat(everyMs, ...logTransitions(work, log, backgroundWorkFails(name)));
  const stops = [
    start(RECORD_EVERY_MS, "recording when keys were used", recordPortion),
    start(SWEEP_EVERY_MS, "deleting keys whose retention is over", sweep),
    start(COUNT_EVERY_MS, "counting keys", count),
  ];
  shutdown.defer("the background work", async () => {
    await Promise.all(stops.map((stop) => stop()));
    while (pending.size > 0) await recordPortion();
  });
  return {
    recordUse(keyId) {
      if (pending.size < MAX_PENDING) pending.set(keyId, nowSeconds());
    },
  };
}
