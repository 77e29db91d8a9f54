import type { SentPosting } from "../core/postings/posting.ts";
import type { UsagePage, UsageStore, UsageSubject } from "../core/usage/ports.ts";
import type { UsageAmount } from "../core/usage/usage-amount.ts";
import { DAY_SECONDS, dayOfHour } from "../core/usage/usage-time.ts";
import type { RedisClient } from "./client.ts";
import { texts } from "./replies.ts";
import { scriptText } from "./script-text.ts";
import { createUsageBytes } from "./usage-bytes.ts";
import type { UsageStoreOptions } from "./usage-options.ts";
import { createUsagePosting } from "./usage-posting.ts";
import { createUsageReads } from "./usage-reads.ts";

const SUBJECTS_SCRIPT = scriptText("usage-subjects");
const SWEEP_SCRIPT = scriptText("usage-sweep");

/** Families that one call forgets. */
const SWEEP_LIMIT = 50;

/** Usage as hashes per family and day. Redis removes them when their retention is over. */
export function createUsageStore(options: UsageStoreOptions): UsageStore {
  const { registry, spread, retention } = options;
  const { keys } = registry;
  const listKeys = listKeysOf(registry);
  const runSweep = registry.script(SWEEP_SCRIPT, "usage-sweep");
  const bytes = createUsageBytes(options);
  const list = createSubjectList(registry);
  const count = createUsagePosting(options, bytes.add);
  return {
    async post(postings) {
      // A family that has usage but is not listed would be missing in reports.
      await list.record(postings);
      const outcomes = await count(postings);
      if (outcomes.includes("behind")) list.forget();
      return outcomes;
    },
    // All keys of a family are in one slot.
    historyOf: (family) => spread.historyOf(spread.keys.usagePosted(family, 0)),
    ...createUsageReads(options),
    async subjects(page) {
      const [from, to] = boundsOf(page);
      const found = await registry.command(
        ...(["ZRANGE", keys.usageSubjects, from, to, "BYLEX", "LIMIT", 0, page.limit] as const),
      );
      return texts(found).map(subjectOf);
    },
    async ownerOf(family) {
      const owner = await registry.command("HGET", keys.usageOwners, family);
      return typeof owner === "string" ? owner : undefined;
    },
    bytes: bytes.total,
    suspectLoss: list.forget,
    async sweep(beforeMs) {
      const firstDay = Math.floor((beforeMs / 1000 - retention.daysSeconds) / DAY_SECONDS);
      await runSweep(listKeys, [firstDay, SWEEP_LIMIT]);
    },
  };
}

function listKeysOf({ keys }: RedisClient): readonly string[] {
  return [keys.usageSubjects, keys.usageOwners, keys.usageSeen];
}

/**
 * Lists families that have usage on a day.
 * @param keepsOwner whether a listed family keeps its owner
 */
export function createSubjectScript(registry: RedisClient, keepsOwner = false) {
  const run = registry.script(SUBJECTS_SCRIPT, "usage-subjects");
  return async (day: number, subjects: readonly UsageSubject[]): Promise<void> => {
    await run(listKeysOf(registry), [
      day,
      keepsOwner ? 1 : 0,
      ...subjects.flatMap(({ family, owner }) => [family, owner]),
    ]);
  };
}

/** Families recorded today, at most. Then all are recorded again. */
const MAX_RECORDED = 200_000;

/** Records each family once a day, and when its owner changes. */
function createSubjectList(registry: RedisClient) {
  const run = createSubjectScript(registry);
  const recorded = new Map<string, string>();
  let recordedDay = 0;
  return {
    async record(postings: readonly SentPosting<UsageAmount>[]): Promise<void> {
      const day = Math.max(0, ...postings.map(({ window }) => dayOfHour(window)));
      if (day !== recordedDay || recorded.size > MAX_RECORDED) recorded.clear();
      recordedDay = day;
      const unknown = postings.filter(({ subject, amount }) => recorded.get(subject) !== amount.owner);
      if (unknown.length === 0) return;
      await run(
        day,
        unknown.map(({ subject, amount: { owner } }) => ({ family: subject, owner })),
      );
      for (const { subject, amount } of unknown) recorded.set(subject, amount.owner);
    },
    forget: () => recorded.clear(),
  };
}

function boundsOf({ owner, after }: UsagePage): readonly [string, string] {
  const end = owner === undefined ? "+" : `(${owner}\u0001`;
  if (after !== undefined) return [`(${after.owner}\0${after.family}`, end];
  return [owner === undefined ? "-" : `[${owner}\0`, end];
}

function subjectOf(member: string): UsageSubject {
  const [owner = "", family = ""] = member.split("\0");
  return { owner, family };
}
