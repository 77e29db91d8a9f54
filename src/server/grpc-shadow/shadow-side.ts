import type { CopiedConnection, CopiedConnectionDeps } from "./copied-connection.ts";
import { createCopiedConnection, uncompared } from "./copied-connection.ts";
import type { Comparison, Result, ShadowEvent, ShadowReport } from "./messages.ts";
import { bytesOf } from "./messages.ts";

export interface ShadowSideDeps extends Pick<CopiedConnectionDeps, "compare" | "open"> {
  readonly send: (report: ShadowReport) => void;
}

/** The copied connections, in the thread of the shadow. */
export interface ShadowSide {
  process(events: readonly ShadowEvent[]): void;
  /** Called once a second. */
  sweep(): void;
}

export function createShadowSide({ compare, open, send }: ShadowSideDeps): ShadowSide {
  const connections = new Map<number, CopiedConnection>();
  const next = createReport();
  let isScheduled = false;
  /** Once a turn, so that the answer to a batch shows that the thread has served what the batch brought. */
  const sendSoon = () => {
    if (isScheduled) return;
    isScheduled = true;
    setImmediate(() => {
      isScheduled = false;
      for (const [id, connection] of connections) {
        if (!connection.isFinished()) continue;
        connections.delete(id);
        next.finished(id);
      }
      send(next.take());
    });
  };
  const report = (comparison: Comparison) => {
    next.compared(comparison);
    sendSoon();
  };
  const onTaken = (cost: number) => {
    next.processed(cost);
    sendSoon();
  };
  const apply = (event: ShadowEvent) => {
    const { kind, connection: id } = event;
    if (kind === "opened") connections.set(id, createCopiedConnection({ compare, open, report, onTaken }));
    const connection = connections.get(id);
    if (kind === "bytes" && connection !== undefined) return connection.write(event.bytes, bytesOf(event));
    next.processed(bytesOf(event));
    if (kind === "answered" && connection === undefined) next.compared(uncompared("skipped", event.call, []));
    else if (kind === "answered") connection?.answered(event.call);
    else if (kind === "closed") connection?.close();
    else if (kind === "dropped") connection?.drop();
  };
  return {
    process(events) {
      for (const event of events) apply(event);
      sendSoon();
    },
    sweep() {
      for (const connection of connections.values()) connection.sweep();
      sendSoon();
    },
  };
}

/** Collects a report. */
function createReport() {
  const zeros = (): Record<Result, number> => ({
    equal: 0,
    request_differs: 0,
    response_differs: 0,
    skipped: 0,
    failed: 0,
  });
  let [bytes, counts] = [0, zeros()];
  let difference: Comparison | undefined;
  let finished: number[] = [];
  return {
    processed(count: number) {
      bytes += count;
    },
    compared(comparison: Comparison) {
      counts[comparison.result]++;
      if (comparison.result.endsWith("_differs")) difference = comparison;
    },
    finished: (id: number) => void finished.push(id),
    take(): ShadowReport {
      const report = { bytes, counts, finished, ...(difference !== undefined && { difference }) };
      [bytes, counts, finished, difference] = [0, zeros(), [], undefined];
      return report;
    },
  };
}
