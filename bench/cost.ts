import { createHook } from "node:async_hooks";
import { encodeCheckRequest } from "../scripts/protobuf.ts";
import { NO_OVERRIDES } from "../src/core/overrides/override-view.ts";
import { createCheck } from "../src/ext-authz/check.ts";
import { createBucketStore } from "../src/memory/bucket-store.ts";
import { createMetrics } from "../src/telemetry/metrics/metrics.ts";
import {
  benchAttributes,
  benchPolicy,
  benchRecord,
  createDecisionServices,
  grantedLimits,
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
const limits = grantedLimits(
  { monotonicMs: () => 1000, fallback: createBucketStore({ maxBuckets: 1000 }) },
  () => storeRequests++,
);
const services = await createDecisionServices(benchPolicy(), 1_000_000, NO_OVERRIDES, limits);
const metrics = createMetrics({ version: "bench", nowMs: () => nowMs, outputDropped: () => 0 });
metrics.policyInForce(services.policy);
const fail = (error: unknown): never => {
  throw error;
};
const check = createCheck({
  policy: () => services.policy,
  authorize: services.authorize,
  nowMs: () => nowMs,
  monotonicNs: () => 0n,
  newDecisionId: () => "3f1c9f4e-8b5b-4e5a-9d3c-0d8a2f6b7c11",
  onDecision(made, about) {
    outcome = made.verdict === "allow" ? "allow" : made.reason;
    metrics.countDecision(made, about);
  },
  onUndecodable: fail,
  onFault: fail,
});

const messageOf = (token: string) => encodeCheckRequest({ attributes: benchAttributes(token) });
const messages = (count: number, textOf: (token: string) => string) =>
  Promise.all(
    Array.from({ length: count }, async (_, at) =>
      messageOf(textOf(await services.signer.sign(benchRecord(at, nowMs)))),
    ),
  );
const whole = (token: string) => token;
const forged = (token: string) => `${token.slice(0, -4)}AAAA`;

const ALL = WARM_UP + 2 * CHECKS;
const CASES = [
  { name: "allowed, a known key", expected: "allow", sent: await messages(1, whole) },
  { name: "allowed, a new key", expected: "allow", sent: await messages(ALL, whole) },
  { name: "denied, no key", expected: "credential_missing", sent: [messageOf("")] },
  { name: "denied, a forged key", expected: "credential_invalid", sent: await messages(ALL, forged) },
];

const costs: Record<string, Cost> = {};
for (const { name, expected, sent } of CASES) {
  costs[name] = await costOf(sent);
  if (outcome !== expected) throw new Error(`${name}: ${outcome}`);
}
console.log(JSON.stringify(costs));
process.exit(0);

async function costOf(sent: readonly Buffer[]): Promise<Cost> {
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
