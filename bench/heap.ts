import { encodeCheckRequest } from "../scripts/protobuf.ts";
import { createCheck } from "../src/ext-authz/check.ts";
import { benchAttributes, benchPolicy, benchRecord, decidingParts } from "./decision.ts";

/** `node --expose-gc heap.ts KEYS`: how much an instance's heap grows with each key that it has seen. */
const keys = Number(process.argv[2]);
// None is forgotten while they are counted.
const parts = await decidingParts(benchPolicy(), 1_000_000);
const check = createCheck({
  policy: () => parts.policy,
  authorize: parts.authorize,
  nowMs: Date.now,
  monotonicNs: process.hrtime.bigint,
  newDecisionId: () => "d",
  onDecision: () => undefined,
  onUndecodable: (error) => {
    throw error;
  },
  onFault: (error) => {
    throw error;
  },
});

async function see(from: number, count: number): Promise<void> {
  for (let i = from; i < from + count; i++) {
    const token = await parts.signer.sign(benchRecord(i));
    await check(encodeCheckRequest({ attributes: benchAttributes(token) }), 500);
  }
}

function heapBytes(): number {
  for (let i = 0; i < 4; i++) globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

// What is made once, and what is only kept of late (src/ext-authz/response-cache.ts), is there before it begins.
await see(0, 10_000);
const before = heapBytes();
await see(10_000, keys);
console.log(JSON.stringify({ bytesPerKey: (heapBytes() - before) / keys }));
