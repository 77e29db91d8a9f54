import type { PostingOutcome, SentPosting } from "../core/postings/posting.ts";
import type { UsageAmount } from "../core/usage/usage-amount.ts";
import { MAX_ROUTES, OTHER_ROUTES } from "../core/usage/usage-amount.ts";
import type { UsageRetention } from "../core/usage/usage-time.ts";
import { dayOfHour, HOUR_SECONDS, hourOfDay, postingTimes } from "../core/usage/usage-time.ts";
import { scriptText } from "./script-text.ts";
import type { SpreadClient } from "./spread-client.ts";
import type { UsageBytes } from "./usage-bytes.ts";
import type { UsageStoreOptions } from "./usage-options.ts";

const SCRIPT = scriptText("usage");

/** Postings per script. Each one has three Redis keys. */
const MAX_POSTINGS = 16;
/** Replies of the script for each posting. */
const REPLY_LENGTH = 3;
const OUTCOMES: readonly PostingOutcome[] = ["counted", "void", "behind"];
/** The numbers of postings outlive their windows by this time. */
const NUMBERS_MARGIN_SECONDS = 3600;

type UsagePosting = SentPosting<UsageAmount>;

/** Sends postings in scripts of one slot each. An outcome is undefined if its script has no answer; rejects if none has. */
export function createUsagePosting(
  { spread, instanceId, retention }: UsageStoreOptions,
  onBytes: UsageBytes["add"],
): (postings: readonly UsagePosting[]) => Promise<readonly (PostingOutcome | undefined)[]> {
  const run = spread.script(SCRIPT, "usage");
  const send = async (postings: readonly UsagePosting[]): Promise<readonly PostingOutcome[]> => {
    const batch = {
      instance: instanceId,
      maxRoutes: MAX_ROUTES,
      otherRoute: OTHER_ROUTES,
      ahead: HOUR_SECONDS,
      postings: postings.map((posting) => encode(posting, retention)),
    };
    const reply = await run(
      postings.flatMap((posting) => keysOf(spread, posting)),
      [JSON.stringify(batch)],
    );
    if (!Array.isArray(reply) || reply.length !== REPLY_LENGTH * postings.length)
      throw new Error("usage.lua sent an unexpected reply");
    return postings.map(({ window }, index) => {
      const [outcome, hours, day] = reply.slice(REPLY_LENGTH * index, REPLY_LENGTH * (index + 1)).map(Number);
      onBytes(dayOfHour(window), "h", hours ?? 0);
      onBytes(dayOfHour(window), "d", day ?? 0);
      return OUTCOMES[outcome ?? -1] ?? "void";
    });
  };
  return async (postings) => {
    const outcomes = new Map<UsagePosting, PostingOutcome>();
    const results = await Promise.allSettled(
      inBatches(spread, postings).map(async (batch) => {
        const replies = await send(batch);
        for (const [index, posting] of batch.entries()) outcomes.set(posting, replies[index] ?? "void");
      }),
    );
    const failure = results.find((result) => result.status === "rejected");
    if (outcomes.size === 0 && failure !== undefined) throw failure.reason;
    return postings.map((posting) => outcomes.get(posting));
  };
}

function inBatches(
  spread: SpreadClient,
  postings: readonly UsagePosting[],
): readonly (readonly UsagePosting[])[] {
  const bySlot = Map.groupBy(postings, (posting) => spread.slotOf(keysOf(spread, posting)[0] ?? ""));
  return [...bySlot.values()].flatMap((all) =>
    Array.from({ length: Math.ceil(all.length / MAX_POSTINGS) }, (_, index) =>
      all.slice(index * MAX_POSTINGS, (index + 1) * MAX_POSTINGS),
    ),
  );
}

function keysOf({ keys }: SpreadClient, { subject, window }: UsagePosting): readonly string[] {
  const day = dayOfHour(window);
  return [keys.usagePosted(subject, day), keys.usageHours(subject, day), keys.usageDay(subject, day)];
}

function encode({ number, after, window, amount }: UsagePosting, retention: UsageRetention) {
  const { opens, closes, dayEnds } = postingTimes(window);
  const { requests, cost, units, routes } = amount;
  return {
    number,
    after,
    opens,
    closes,
    numbersUntil: dayEnds + (closes - opens) + NUMBERS_MARGIN_SECONDS,
    hoursUntil: dayEnds + retention.hoursSeconds,
    daysUntil: dayEnds + retention.daysSeconds,
    hour: String(hourOfDay(window)),
    counts: [requests.allowed, requests.denied, requests.limited, cost],
    units: [...units],
    routes: [...routes].map(([label, route]) => [label, [route.allowed, route.denied, route.limited]]),
  };
}
