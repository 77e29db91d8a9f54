import type { DatabaseSync } from "node:sqlite";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { PostingOutcome, SentPosting } from "../core/postings/posting.ts";
import { judgePosting } from "../core/postings/posting.ts";
import type { UsagePage, UsageStore } from "../core/usage/ports.ts";
import type { UsageAmount } from "../core/usage/usage-amount.ts";
import { addTotals, addUsage } from "../core/usage/usage-amount.ts";
import type { UsageRetention } from "../core/usage/usage-time.ts";
import { DAY_SECONDS, dayOfHour, HOUR_SECONDS, isOpen, postingTimes } from "../core/usage/usage-time.ts";
import type { Database } from "./database.ts";
import type { Row } from "./rows.ts";
import { integer, text } from "./rows.ts";
import { inTransaction } from "./transaction.ts";
import { usageFrom } from "./usage-row.ts";
import { createUsageWriter } from "./usage-writer.ts";

export interface UsageStoreOptions {
  readonly instanceId: string;
  readonly retention: UsageRetention;
  /** The store's clock in milliseconds. */
  readonly nowMs: () => number;
}

type UsagePosting = SentPosting<UsageAmount>;

/** Rows of each table that are deleted at once: other calls wait meanwhile. */
const SWEEP_LIMIT = 500;

/** Usage in SQLite: a row for each family and hour, and one for each family and day. */
export function createUsageStore(
  { sqlite }: Pick<Database, "sqlite">,
  options: UsageStoreOptions,
): UsageStore {
  const { nowMs } = options;
  const count = createCount(sqlite, options);
  const rows = (table: "usage_hours" | "usage_days") =>
    sqlite.prepare(`SELECT at, usage FROM ${table} WHERE family = ? AND at >= ? AND at < ? ORDER BY at`);
  const [hours, days] = [rows("usage_hours"), rows("usage_days")];
  const bytes = sqlite.prepare("SELECT coalesce(sum(bytes), 0) AS bytes FROM usage_bytes");
  const owner = sqlite.prepare("SELECT owner FROM usage_families WHERE family = ?");
  return {
    post: async (postings) =>
      inTransaction(sqlite, () => postings.map((posting) => count(posting, nowMs() / 1000))),
    hours: async (family, { from, to }) => hours.all(family, from, to).map(usageFrom),
    days: async (family, { from, to }) => days.all(family, from, to).map(usageFrom),
    subjects: createSubjects(sqlite),
    async ownerOf(family) {
      const row = owner.get(family);
      return row && text(row, "owner");
    },
    async bytes() {
      const row = bytes.get();
      return row === undefined ? 0 : integer(row, "bytes");
    },
    suspectLoss: () => undefined,
    sweep: createUsageSweep(sqlite, options),
  };
}

function createSubjects(sqlite: DatabaseSync): UsageStore["subjects"] {
  const after = "SELECT owner, family FROM usage_families WHERE (owner, family) > (?, ?)";
  const all = sqlite.prepare(`${after} ORDER BY owner, family LIMIT ?`);
  const ofOwner = sqlite.prepare(`${after} AND owner = ? ORDER BY owner, family LIMIT ?`);
  const subjectFrom = (row: Row) => ({ owner: text(row, "owner"), family: text(row, "family") });
  return async ({ owner, after: last = { owner: owner ?? "", family: "" }, limit }: UsagePage) => {
    const found =
      owner === undefined
        ? all.all(last.owner, last.family, limit)
        : ofOwner.all(last.owner, last.family, owner, limit);
    return found.map(subjectFrom);
  };
}

/** Counts one posting within a transaction. */
function createCount(
  sqlite: DatabaseSync,
  { instanceId }: UsageStoreOptions,
): (posting: UsagePosting, nowSeconds: number) => PostingOutcome {
  const last = sqlite.prepare(
    "SELECT number FROM usage_posted WHERE family = ? AND day = ? AND instance = ?",
  );
  const note = sqlite.prepare(
    "INSERT INTO usage_posted (family, day, instance, number) VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET number = excluded.number",
  );
  const writer = createUsageWriter(sqlite);
  return (posting, nowSeconds) => {
    const { subject, number, window, amount } = posting;
    const day = dayOfHour(window);
    const row = last.get(subject, day, instanceId);
    const judged = judgePosting(row === undefined ? 0 : integer(row, "number"), posting);
    if (judged === "repeat") return "counted";
    if (!isOpen(postingTimes(window), nowSeconds)) return "void";
    if (judged === "behind") return "behind";
    note.run(subject, day, instanceId, number);
    writer.list(subject, amount.owner, day);
    writer.change("hour", subject, window, (stored) => addTotals(stored, amount));
    writer.change("day", subject, day, (stored) => addUsage(stored, amount));
    return "counted";
  };
}

/** Deletes what is past its retention. Numbers of postings stay until no posting of their day can count. */
function createUsageSweep(sqlite: DatabaseSync, { retention }: UsageStoreOptions): UsageStore["sweep"] {
  const deleteFrom = (table: string, key: string, time: string) =>
    sqlite.prepare(
      `DELETE FROM ${table} WHERE (${key}) IN (SELECT ${key} FROM ${table} WHERE ${time} < ? LIMIT ${SWEEP_LIMIT})`,
    );
  const hours = deleteFrom("usage_hours", "family, at", "at");
  const days = deleteFrom("usage_days", "family, at", "at");
  const families = deleteFrom("usage_families", "family", "last_day");
  const posted = deleteFrom("usage_posted", "family, day, instance", "day");
  const bytes = sqlite.prepare("DELETE FROM usage_bytes WHERE kind = ? AND day < ?");
  return async (beforeMs) => {
    const dayBefore = (keptSeconds: number) => Math.floor((beforeMs / 1000 - keptSeconds) / DAY_SECONDS);
    const [firstHourDay, firstDay] = [dayBefore(retention.hoursSeconds), dayBefore(retention.daysSeconds)];
    const portion = () => {
      // Whole days, as on Redis, so that the bytes of a day go with its hours.
      const deleted = [
        hours.run((firstHourDay * DAY_SECONDS) / HOUR_SECONDS),
        days.run(firstDay),
        families.run(firstDay),
        posted.run(dayBefore(2 * DAY_SECONDS)),
      ];
      const hasMore = deleted.some(({ changes }) => Number(changes) >= SWEEP_LIMIT);
      if (hasMore) return true;
      bytes.run("h", firstHourDay);
      bytes.run("d", firstDay);
      return false;
    };
    while (inTransaction(sqlite, portion)) await nextTurn();
  };
}
