import { expect, test } from "vitest";
import { startReceiver } from "../../test/support/otlp.ts";
import { deny } from "../core/decision/decision.ts";
import { openTracing } from "./tracing.ts";

const CHECK = { decisionId: "d", operation: "check", elapsedNs: 1_500_000n, mode: "enforce" } as const;

async function opened(endpoint: string, sample = 1) {
  const exports: (string | undefined)[] = [];
  const tracing = await openTracing({
    endpoint,
    headers: {},
    sample,
    version: "1",
    nowMs: Date.now,
    onExport: (failure) => void exports.push(failure),
  });
  return { tracing, exports };
}

test("the queue for a collector that does not respond is bounded: further spans are dropped", async () => {
  const { promise, resolve } = Promise.withResolvers<number>();
  const receiver = await startReceiver({ status: () => promise });
  const { tracing } = await opened(receiver.url);
  for (let at = 0; at < 50_000; at++) tracing.check(deny("route_unknown"), CHECK);
  resolve(200);
  await tracing.close();
  expect(receiver.spans.length).toBeGreaterThan(1000);
  // The queue, and the one batch in flight.
  expect(receiver.spans.length).toBeLessThanOrEqual(2048 + 512);
  await receiver.stop();
});

test("an undecodable Check is a span too; only faults are failures; the times are those of the Check", async () => {
  const receiver = await startReceiver();
  const { tracing, exports } = await opened(`${receiver.url}/`);
  tracing.check(deny("request_malformed"), CHECK);
  tracing.check(deny("internal"), CHECK);
  await tracing.close();
  expect(exports).toEqual([undefined]);
  expect(receiver.spans.map(({ status }) => status?.code ?? 0)).toEqual([0, 2]);
  for (const { startTimeUnixNano, endTimeUnixNano } of receiver.spans)
    expect(Number(endTimeUnixNano - startTimeUnixNano) / 1e6).toBeCloseTo(1.5, 1);
  await receiver.stop();
});

test("requests that are not sampled leave no span, unless their trace is sampled", async () => {
  const receiver = await startReceiver();
  const { tracing } = await opened(receiver.url, 0);
  const sampled = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;
  const headers = (lines: readonly string[]) => ({ request: { headers: new Map([["traceparent", lines]]) } });
  tracing.check(deny("internal"), CHECK);
  tracing.check(deny("internal"), { ...CHECK, ...headers([sampled]) });
  tracing.check(deny("internal"), { ...CHECK, ...headers([sampled, sampled]) });
  await tracing.close();
  expect(receiver.spans.map(({ traceId }) => traceId)).toEqual(["a".repeat(32)]);
  await receiver.stop();
});

test("a stop does not wait for an unavailable collector", async () => {
  const receiver = await startReceiver();
  await receiver.stop();
  const { tracing } = await opened(receiver.url);
  tracing.check(deny("internal"), CHECK);
  const startedMs = Date.now();
  await tracing.close();
  expect(Date.now() - startedMs).toBeLessThan(10_000);
});
