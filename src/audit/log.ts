import type { AuditEvent } from "../core/audit/audit-event.ts";
import type { AuditFields, ChainState } from "./chain.ts";
import { DROPPED_KIND } from "./chain.ts";
import type { SealedLinesOptions, WriteLines } from "./sealed-lines.ts";
import { createSealedLines } from "./sealed-lines.ts";
import { createTimed } from "./timed-fields.ts";

/** Maximum number of buffered lines about requests. A decision never waits for the log. */
const MAX_WAITING = 10_000;
/** The minimum time between two lines about lines that the output dropped. The output may drop such a line too. */
const OUTPUT_GAP_EVERY_MS = 60_000;
/** Maximum number of lines per write, so that building the text does not delay a Check. */
const WRITTEN_AT_ONCE = 500;

export interface AuditLogOptions extends SealedLinesOptions {
  readonly nowMs: () => number;
  readonly observe: (
    kind: "lifecycle" | "request" | "access" | "quota" | "charge" | "gap" | "dropped",
    lines: number,
  ) => void;
  readonly onDropped: (lines: number) => void;
  readonly throttled: (lines: number) => void;
}

/** The audit log, sealed line by line. Only one of its writing methods may run at a time. */
export interface AuditLog {
  /** Writes lines about keys. They are written when it resolves. Rejects otherwise. */
  events(events: readonly AuditEvent[]): Promise<void>;
  /** Buffers a line about a request or a quota. If the buffer is full, the line is dropped and counted. */
  request(kind: "request" | "access" | "quota" | "charge", fields: () => AuditFields): void;
  /** Counts a line that is not written because its client address has caused too many. */
  throttle(): void;
  /** Writes the buffered lines. */
  flush(): Promise<void>;
  /** Writes lines of a file that is about to be dropped again. */
  rewrite(lines: readonly AuditFields[]): Promise<void>;
  /** Writes the positions up to which the chains are dropped with a file. */
  droppedTo(chains: readonly ChainState[]): Promise<void>;
  state(): ChainState;
}

interface Waiting {
  readonly kind: "request" | "access" | "quota" | "charge";
  readonly atMs: number;
  readonly fields: AuditFields;
}

export function createAuditLog(options: AuditLogOptions): AuditLog {
  const { nowMs, observe } = options;
  const timed = createTimed();
  const { state, write } = createSealedLines(options);
  const gaps = createGaps(options, write, timed);
  let waiting: Waiting[] = [];
  const drop = (lines: number) => {
    gaps.lost(lines);
    options.onDropped(lines);
  };
  return {
    state,
    async events(events) {
      await write(events.map((event) => timed(event.atMs, "lifecycle", eventFields(event))));
      observe("lifecycle", events.length);
    },
    request(kind, fields) {
      if (waiting.length < MAX_WAITING) waiting.push({ kind, atMs: nowMs(), fields: fields() });
      else drop(1);
    },
    throttle() {
      gaps.lost(1);
      options.throttled(1);
    },
    async flush() {
      const lines = waiting;
      waiting = [];
      for (let from = 0; from < lines.length; from += WRITTEN_AT_ONCE) {
        const portion = lines.slice(from, from + WRITTEN_AT_ONCE);
        try {
          await write(portion.map(({ kind, atMs, fields }) => timed(atMs, kind, fields)));
        } catch (error) {
          drop(lines.length - from);
          throw error;
        }
        for (const { kind } of portion) observe(kind, 1);
      }
      await gaps.write();
    },
    rewrite: write,
    async droppedTo(chains) {
      await write([timed(nowMs(), DROPPED_KIND, { chains })]);
      observe(DROPPED_KIND, 1);
    },
  };
}

/** The lines that report how many lines are missing in the log or on the output. */
function createGaps(
  { nowMs, observe, output }: AuditLogOptions,
  write: WriteLines,
  timed: ReturnType<typeof createTimed>,
) {
  let lost = 0;
  let reportedOutputDrops = 0;
  let reportedMs = Number.NEGATIVE_INFINITY;
  const writeGap = async (fields: AuditFields) => {
    await write([timed(nowMs(), "gap", fields)]);
    observe("gap", 1);
  };
  return {
    lost(lines: number) {
      lost += lines;
    },
    async write() {
      if (lost > 0) {
        const lines = lost;
        await writeGap({ lines });
        lost -= lines;
      }
      const lines = output.dropped() - reportedOutputDrops;
      if (lines === 0 || nowMs() - reportedMs < OUTPUT_GAP_EVERY_MS) return;
      await writeGap({ output: "stdout", lines });
      reportedOutputDrops += lines;
      reportedMs = nowMs();
    },
  };
}

function eventFields({ eventId, event, outcome, reason, actor, keyId, ...about }: AuditEvent): AuditFields {
  const { family, owner, role, plan, address, requestId } = about;
  return {
    event_id: eventId,
    event,
    outcome,
    reason,
    actor,
    key_id: keyId,
    family,
    owner,
    role,
    plan,
    address,
    request_id: requestId,
  };
}
