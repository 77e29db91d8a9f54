import { setImmediate as nextTurn } from "node:timers/promises";
import type { Principal } from "../core/decision/principal.ts";
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
  /** Notes that a key was just used. No Check waits for the store. */
  recordUse(key: UsedKey): void;
}

const RECORD_EVERY_MS = 2000;
const SWEEP_EVERY_MS = 30_000;
const COUNT_EVERY_MS = 15_000;
/** Rows per turn: other commands to the store wait behind a turn. */
const PORTION = 500;
/** Beyond this many pending keys, further ones wait for a later use. */
const MAX_PENDING = 100_000;

type UsedKey = Pick<Principal, "keyId" | "usedAt">;

/** Work beside the requests, a little at a time: records last uses, deletes expired data and counts keys. */
export function startBackgroundWork(
  { log, shutdown, clock, metrics }: Runtime,
  { store, view }: BackgroundDeps,
): BackgroundWork {
  /** Each key once. The keys themselves note their last use. */
  const pending: UsedKey[] = [];
  const nowSeconds = () => Math.floor(clock.storeNowMs() / 1000);
  const recordPortion = async () => {
    const portion = new Map<string, number>();
    for (const key of pending.splice(0, PORTION)) {
      // The same key is here twice if it was verified again meanwhile.
      portion.set(key.keyId, Math.max(portion.get(key.keyId) ?? 0, key.usedAt ?? 0));
      key.usedAt = undefined;
    }
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
    while (pending.length > 0) await recordPortion();
  });
  return {
    recordUse(key) {
      if (key.usedAt === undefined) {
        if (pending.length >= MAX_PENDING) return;
        pending.push(key);
      }
      key.usedAt = nowSeconds();
    },
  };
}
