import { getHeapStatistics } from "node:v8";
import { parentPort } from "node:worker_threads";
import { threadMemoryMib } from "../../config/usable-memory.ts";
import { loadReferenceCodecs } from "../../grpc/reference-codec.ts";
import { openReferenceConnection } from "../../grpc/reference-connection.ts";
import { createCompareCall } from "./call-comparison.ts";
import { createShadowSide } from "./shadow-side.ts";

/** Buffers are outside the heap, whose size the deciding thread limits. */
const MAX_EXTERNAL_BYTES = threadMemoryMib(256) * 1024 * 1024;
const SWEEP_EVERY_MS = 1000;

// Entry of the worker thread that serves copied connections on grpc-js, and compares. An exception ends it.
const side = createShadowSide({
  compare: createCompareCall(loadReferenceCodecs()),
  open: openReferenceConnection,
  send: (report) => parentPort?.postMessage(report),
});
parentPort?.on("message", (events) => {
  if (getHeapStatistics().external_memory > MAX_EXTERNAL_BYTES)
    throw new Error(`the connections need more than ${MAX_EXTERNAL_BYTES} bytes`);
  side.process(events);
});
setInterval(side.sweep, SWEEP_EVERY_MS);
