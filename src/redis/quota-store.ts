import { LEASE_LIFE_US } from "../core/limits/leased-bucket.ts";
import { HOUR_MS } from "../core/quotas/calendar.ts";
import { MIN_LIFE_US } from "../core/quotas/quota-counter.ts";
import type { QuotaCharge, QuotaReply, QuotaStep } from "../core/quotas/quota-step.ts";
import type { QuotaStore } from "../core/quotas/quota-store.ts";
import type { RedisArgument } from "./client.ts";
import { scriptText } from "./script-text.ts";
import type { ServerBreakers } from "./server-breakers.ts";
import type { SpreadClient } from "./spread-client.ts";
import { createStepBatch } from "./step-batch.ts";

export const QUOTA_SCRIPT = scriptText("quota");

/** Integers that quota.lua returns for each step. */
const REPLY_LENGTH = 14;

const SCRIPT = {
  source: QUOTA_SCRIPT,
  name: "quota",
  head: [LEASE_LIFE_US, MIN_LIFE_US],
  replyLength: REPLY_LENGTH,
  replyOf: (numbers: readonly number[], at: number) => replyOf(numbers.slice(at, at + REPLY_LENGTH)),
};

/** Counters of quotas as Redis hashes, by the clock of their server. */
export function createQuotaStore(client: SpreadClient, servers: ServerBreakers): QuotaStore {
  const takeStep = createStepBatch(client, SCRIPT, servers);
  return {
    historyOf: (counterId) => client.historyOf(client.keys.quota(counterId)),
    async step(counterId, step) {
      const { keys } = client;
      const more = step.charge === undefined ? [] : [keys.charges(counterId, hourOf(step.charge))];
      return takeStep(keys.quota(counterId), argumentsOf(step), () => probeOf(step), more);
    },
  };
}

/** The arguments of a step that takes nothing. */
function probeOf(step: QuotaStep): readonly RedisArgument[] {
  const nothing = { settlements: [], request: undefined, posting: undefined, charge: undefined };
  return argumentsOf({ ...step, ...nothing });
}

export function argumentsOf({
  limit,
  extra,
  windows,
  request,
  posting,
  charge,
  settlements,
}: QuotaStep): readonly RedisArgument[] {
  const { leaseId = "", cost = 0, waiting = 0, ahead = 0, held = 0 } = request ?? {};
  const { number = 0, after = 0, window = 0, amount = 0 } = posting?.sent ?? {};
  return [
    limit,
    extra?.units ?? 0,
    extra?.windowMs ?? -1,
    windows.startMs,
    windows.endMs,
    windows.nextEndMs,
    leaseId,
    cost,
    waiting,
    ahead,
    held,
    posting?.instanceId ?? "",
    number,
    after,
    window,
    amount,
    ...chargeArguments(charge),
    settlements.length,
    ...settlements.flatMap((settled) => [settled.leaseId, settled.unspentTokens]),
  ];
}

/**
 * The ids of an hour share a hash, which takes far less memory than a key for each. The hour is that of the request, so that all
 * instances look for a repetition at the same place.
 */
function hourOf({ issuedMs }: QuotaCharge): number {
  return Math.floor(issuedMs / HOUR_MS);
}

function chargeArguments(charge: QuotaStep["charge"]): readonly RedisArgument[] {
  if (charge === undefined) return [0];
  const { id, amount, reserved, issuedMs, receivedMs, isRefundable, keepMs } = charge;
  const untilMs = (hourOf(charge) + 1) * HOUR_MS + keepMs;
  return [
    1,
    id,
    amount,
    reserved,
    issuedMs,
    receivedMs,
    isRefundable ? 1 : 0,
    Math.ceil(untilMs - receivedMs),
  ];
}

const CHARGED = [undefined, "counted", "repeat", "void"] as const;
const OUTCOMES = [undefined, "counted", "void", "behind"] as const;

export function replyOf(reply: readonly number[]): QuotaReply {
  const [inWindows, nowMs = 0, windowMs = 0, leftUs = 0, grantedUnits = 0, lifeUs = 0, isEnding] = reply;
  const [used = 0, freeUnits = 0, leased = 0, expiredUnits = 0, crossed, posted = 0, charged = 0] =
    reply.slice(7);
  return {
    inWindows: inWindows === 1,
    nowMs,
    windowMs,
    leftUs,
    grantedUnits,
    lifeUs,
    isEnding: isEnding === 1,
    used,
    freeUnits,
    leased,
    expiredUnits,
    crossed: crossed === 80 || crossed === 100 ? crossed : 0,
    posted: OUTCOMES[posted],
    charged: CHARGED[charged],
  };
}
