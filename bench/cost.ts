import { createHook } from "node:async_hooks";
import { execFileSync } from "node:child_process";
import { encodeCheckRequest } from "../scripts/protobuf.ts";
import { NO_OVERRIDES } from "../src/core/overrides/override-view.ts";
import { createBucketStore } from "../src/memory/bucket-store.ts";
import { createMetrics } from "../src/telemetry/metrics/metrics.ts";
import {
  benchAttributes,
  benchCheck,
  benchPolicy,
  benchRecord,
  createDecisionServices,
  grantedLimits,
  ONE_LIMIT,
  TWO_LIMITS,
  TWO_LIMITS_AND_QUOTA,
} from "./decision.ts";

/** What one Check costs, whatever the speed of the machine. */
export interface Cost {
  /** Allocated on the heap of JavaScript. */
  readonly bytes: number;
  /** Two of them belong to the caller when the answer is a promise. */
  readonly promises: number;
  /** Requests for tokens. Those that are made in one turn of the event loop share one script. */
  readonly storeRequests: number;
}

/**
 * `npm run bench:cost` prints JSON: case → {@link Cost}. Its flags make the count exact: nothing is collected, and V8 does not compile
 * in another thread, because the moment of optimization changes what is allocated.
 */
const CHECKS = 4000;
const WARM_UP = 8000;

const nowMs = Date.now();
let storeRequests = 0;
let outcome = "";

async function createBenchCheck(roleLimits: string, isEmbedded: boolean) {
  const fallback = createBucketStore({ maxBuckets: 1000 });
  const leases = grantedLimits({ monotonicMs: () => 1000, fallback }, () => storeRequests++);
  const limits = isEmbedded ? undefined : leases;
  const services = await createDecisionServices(benchPolicy(10, roleLimits), 1_000_000, NO_OVERRIDES, limits);
  const metrics = createMetrics({ version: "bench", nowMs: () => nowMs, outputDropped: () => 0 });
  metrics.policyInForce(services.policy);
  const check = benchCheck(services, {
    nowMs: () => nowMs,
    monotonicNs: () => 0n,
    onDecision(made, about) {
      outcome = made.verdict === "allow" ? "allow" : made.reason;
      metrics.countDecision(made, about);
    },
  });
  return { check, signer: services.signer };
}

const whole = (token: string) => token;
const forged = (token: string) => `${token.slice(0, -4)}AAAA`;

interface Case {
  /** `allow`, or the reason of the denial. */
  readonly expected: string;
  /** Of the role, in the policy file. */
  readonly limits: string;
  /** The number of different keys. */
  readonly tokens: number;
  readonly textOf: (token: string) => string;
  /** Buckets in memory, as without Redis. Absent: leases. */
  readonly isEmbedded?: boolean;
}

const ALL = WARM_UP + 2 * CHECKS;
const CASES: Readonly<Record<string, Case>> = {
  "allowed, a known key": { expected: "allow", limits: ONE_LIMIT, tokens: 1, textOf: whole },
  "allowed, two limits": { expected: "allow", limits: TWO_LIMITS, tokens: 1, textOf: whole },
  "allowed, two limits and a quota": {
    expected: "allow",
    limits: TWO_LIMITS_AND_QUOTA,
    tokens: 1,
    textOf: whole,
  },
  "allowed, a new key": { expected: "allow", limits: ONE_LIMIT, tokens: ALL, textOf: whole },
  // More keys than the caches of responses and demands have places. All tokens are known from the warm-up.
  "allowed, many keys in turn, no Redis": {
    expected: "allow",
    limits: ONE_LIMIT,
    tokens: WARM_UP,
    textOf: whole,
    isEmbedded: true,
  },
  "denied, no key": { expected: "credential_missing", limits: ONE_LIMIT, tokens: 1, textOf: () => "" },
  "denied, a forged key": { expected: "credential_invalid", limits: ONE_LIMIT, tokens: ALL, textOf: forged },
};

const [, program = "", name] = process.argv;
const costs: Record<string, Cost> = {};
if (name === undefined) {
  // Each case has its own process, because code that has served another case is optimized differently.
  for (const each of Object.keys(CASES)) costs[each] = JSON.parse(run(program, each));
  console.log(JSON.stringify(costs));
} else {
  const measured = CASES[name];
  if (measured === undefined) throw new Error(`no such case: ${name}`);
  console.log(JSON.stringify(await costOf(measured)));
  if (outcome !== measured.expected) throw new Error(`${name}: ${outcome}`);
}
process.exit(0);

function run(program: string, name: string): string {
  return execFileSync(process.execPath, [...process.execArgv, program, name], { encoding: "utf8" });
}

async function costOf({ limits, tokens, textOf, isEmbedded = false }: Case): Promise<Cost> {
  const { check, signer } = await createBenchCheck(limits, isEmbedded);
  const sent = await Promise.all(
    Array.from({ length: tokens }, async (_, at) => {
      const token = textOf(await signer.sign(benchRecord(at, nowMs)));
      return encodeCheckRequest({ attributes: benchAttributes(token) });
    }),
  );
  let next = 0;
  const send = async (count: number) => {
    for (let i = 0; i < count; i++) {
      const answer = check(sent[next++ % sent.length] ?? Buffer.alloc(0), 500);
      if (answer instanceof Promise) await answer;
    }
  };
  await send(WARM_UP);
  globalThis.gc?.();
  const before = process.memoryUsage().heapUsed;
  storeRequests = 0;
  await send(CHECKS);
  const bytes = (process.memoryUsage().heapUsed - before) / CHECKS;
  const requests = storeRequests / CHECKS;
  let promises = 0;
  // Its own pass, because the hook allocates.
  const hook = createHook({
    init: (_id, type) => {
      if (type === "PROMISE") promises++;
    },
  }).enable();
  await send(CHECKS);
  hook.disable();
  return { bytes, promises: promises / CHECKS, storeRequests: requests };
}
