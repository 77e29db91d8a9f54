import { encodeCheckRequest } from "../scripts/protobuf.ts";
import { benchAttributes, benchCheck, benchPolicy, benchRecord, createDecisionServices } from "./decision.ts";

/** `node --expose-gc heap.ts KEYS`: measures the heap that an instance needs for each key that it has cached. */
const keys = Number(process.argv[2]);
// The cache is large enough that it evicts no key during the measurement.
const services = await createDecisionServices(benchPolicy(), 1_000_000);
const check = benchCheck(services, { newDecisionId: () => "d" });

async function checkKeys(from: number, count: number): Promise<void> {
  for (let i = from; i < from + count; i++) {
    const token = await services.signer.sign(benchRecord(i));
    await check(encodeCheckRequest({ attributes: benchAttributes(token) }), 500);
  }
}

function heapBytes(): number {
  for (let i = 0; i < 4; i++) globalThis.gc?.();
  return process.memoryUsage().heapUsed;
}

// Fills the caches of fixed size first (src/ext-authz/response-cache.ts), so that they do not count.
await checkKeys(0, 10_000);
const before = heapBytes();
await checkKeys(10_000, keys);
console.log(JSON.stringify({ bytesPerKey: (heapBytes() - before) / keys }));
