import type { DatabaseSync } from "node:sqlite";
import type { RememberCharge } from "../core/quotas/quota-charge.ts";
import type { CounterUse, QuotaCounter } from "../core/quotas/quota-counter.ts";
import { counterUse, isIntact, newCounter, quotaStep, raiseCounter } from "../core/quotas/quota-counter.ts";
import type { QuotaReply, QuotaStep } from "../core/quotas/quota-step.ts";
import type { Row } from "./rows.ts";
import { integer, text } from "./rows.ts";
import { inTransaction } from "./transaction.ts";

/** One step on one counter. */
export interface CounterStep {
  readonly counterId: string;
  readonly step: QuotaStep;
}

/** The counters of quotas, as rows. */
export interface CounterTable {
  /** Takes all steps in one transaction, in their order. */
  steps(steps: readonly CounterStep[]): readonly QuotaReply[];
  /** The counters as they are stored; a missing one has counted nothing. */
  read(counterIds: readonly string[]): readonly QuotaCounter[];
  /** At most `limit` counters after this id, in the order of their ids. */
  page(after: string, limit: number): readonly CounterUse[];
  reset(counterIds: readonly string[]): void;
  /** Takes over what another store has counted in a window. A new row stays until `until` (NumericDate). */
  raise(counterId: string, counted: Pick<QuotaCounter, "windowMs" | "used" | "limit">, until: number): void;
}

const DAY_MS = 86_400_000;

export function createCounterTable(sqlite: DatabaseSync, nowMs: () => number): CounterTable {
  const find = sqlite.prepare(
    "SELECT window_ms, used, unit_limit, reported, leases, posted FROM quotas WHERE counter_id = ?",
  );
  const save = sqlite.prepare(
    `INSERT INTO quotas (counter_id, window_ms, used, unit_limit, reported, leases, posted, until)
     VALUES (?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (counter_id) DO UPDATE SET window_ms = excluded.window_ms, used = excluded.used,
       unit_limit = excluded.unit_limit, reported = excluded.reported, leases = excluded.leases, posted = excluded.posted, until = excluded.until`,
  );
  const following = sqlite.prepare("SELECT * FROM quotas WHERE counter_id > ? ORDER BY counter_id LIMIT ?");
  const remove = sqlite.prepare("DELETE FROM quotas WHERE counter_id = ?");
  const remember = sqlite.prepare(
    `INSERT INTO charges (counter_id, charge_id, until) VALUES (?, ?, ?)
     ON CONFLICT (counter_id, charge_id) DO UPDATE SET until = excluded.until WHERE charges.until <= ?`,
  );
  const rememberFor =
    (counterId: string): RememberCharge =>
    (id, untilMs, atMs) =>
      remember.run(counterId, id, Math.ceil(untilMs / 1000), Math.floor(atMs / 1000)).changes === 1;
  const load = (counterId: string) => {
    const row = find.get(counterId);
    return row === undefined ? newCounter() : counterOf(row);
  };
  const write = (counterId: string, counter: QuotaCounter, until: number) => {
    const { windowMs, used, limit, reported, leases, posted } = counter;
    const texts = [JSON.stringify([...leases]), JSON.stringify([...posted])] as const;
    save.run(counterId, windowMs, used, limit, reported, ...texts, until);
  };
  const take = ({ counterId, step }: CounterStep): QuotaReply => {
    const counter = load(counterId);
    const reply = quotaStep(counter, step, nowMs() * 1000, rememberFor(counterId));
    if (!reply.inWindows) return reply;
    write(counterId, counter, Math.ceil((reply.nowMs + reply.leftUs / 1000 + DAY_MS) / 1000));
    return reply;
  };
  return {
    steps: (steps) => inTransaction(sqlite, () => steps.map(take)),
    read: (counterIds) => counterIds.map(load),
    page: (after, limit) =>
      following.all(after, limit).map((row) => counterUse(text(row, "counter_id"), counterOf(row))),
    reset: (counterIds) =>
      inTransaction(sqlite, () => {
        for (const counterId of counterIds) remove.run(counterId);
      }),
    raise(counterId, counted, until) {
      const counter = load(counterId);
      raiseCounter(counter, counted);
      write(counterId, counter, until);
    },
  };
}

/** A damaged counter is replaced: it must not fail the transaction, which has steps of other subjects. */
export function counterOf(row: Row): QuotaCounter {
  try {
    return decodeCounter(row);
  } catch {
    return newCounter();
  }
}

function decodeCounter(row: Row): QuotaCounter {
  const [windowMs, used] = [integer(row, "window_ms"), integer(row, "used")];
  if (!isIntact({ windowMs, used })) return newCounter();
  const reported = integer(row, "reported");
  // This module has written the text.
  const leases: [string, { units: number; deadlineUs: number }][] = JSON.parse(text(row, "leases"));
  const posted: [string, number][] = JSON.parse(text(row, "posted"));
  return {
    windowMs,
    used,
    limit: integer(row, "unit_limit"),
    reported: reported === 80 || reported === 100 ? reported : 0,
    leases: new Map(leases),
    posted: new Map(posted),
  };
}
