import { setImmediate as nextTurn } from "node:timers/promises";
import type { AuditEvent } from "../core/audit/audit-event.ts";
import type { AuditFields, ChainState } from "./chain.ts";
import { createAuditChain, DROPPED_KIND } from "./chain.ts";
import type { AuditFile } from "./file.ts";

/** Lines about requests that wait at most; a decision never waits for one. */
const MAX_WAITING = 10_000;
/** Where there is no file, the output has to take some lines, which usually are one piece of a pipe, within this. */
const DELIVERED_AT_ONCE = 8;
const DELIVERED_WITHIN_MS = 2000;
/** Lines that the output did not take are told at most so often: that line may not be taken either. */
const OUTPUT_GAP_EVERY_MS = 60_000;
/** Lines that are written in one piece: what becomes of them, down to their bytes, holds up no Check. */
const WRITTEN_AT_ONCE = 500;
/** Lines sealed before Checks get their turn again: a fraction of a millisecond. */
const SEALED_AT_ONCE = 50;

export interface AuditLogOptions {
  readonly key: string;
  /** Undefined: lines go to the output alone. */
  readonly file: AuditFile | undefined;
  /** Where lines go beside the file, or alone: then they have been written when it has taken them. */
  readonly output: LineOutput;
  readonly newRandom: () => string;
  readonly nowMs: () => number;
  readonly observe: (kind: "lifecycle" | "request" | "access" | "gap" | "dropped", lines: number) => void;
  readonly dropped: (lines: number) => void;
  readonly throttled: (lines: number) => void;
}

/** Where lines go that are also for people to read: standard output. */
export interface LineOutput {
  write(text: string): void;
  /** Whether the output has taken the text within this time. */
  deliver(text: string, withinMs: number): Promise<boolean>;
  /** Lines dropped since the start. */
  dropped(): number;
}

/** Everything that must be accounted for, sealed line by line. Of its methods that write one at a time may be under way. */
export interface AuditLog {
  /** Lines about keys: written before it resolves, or it rejects. */
  events(events: readonly AuditEvent[]): Promise<void>;
  /** A line about a request at one of the doors; when too many wait it is dropped, and counted. */
  request(kind: "request" | "access", fields: () => AuditFields): void;
  /** Counts a line about a request that is not noted, for its address has left too many. */
  throttle(): void;
  /** Writes what waits. */
  flush(): Promise<void>;
  /** Writes lines of a file that is to be dropped a second time. */
  again(lines: readonly AuditFields[]): Promise<void>;
  /** Writes how far the chains are dropped with a file. */
  droppedTo(chains: readonly ChainState[]): Promise<void>;
  state(): ChainState;
}

interface Waiting {
  readonly kind: "request" | "access";
  readonly atMs: number;
  readonly fields: AuditFields;
}

export function createAuditLog(options: AuditLogOptions): AuditLog {
  const { nowMs, observe } = options;
  const { state, write } = createWriter(options);
  const gaps = createGaps(options, write);
  let waiting: Waiting[] = [];
  const drop = (lines: number) => {
    gaps.lost(lines);
    options.dropped(lines);
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
    again: write,
    async droppedTo(chains) {
      await write([timed(nowMs(), DROPPED_KIND, { chains })]);
      observe(DROPPED_KIND, 1);
    },
  };
}

type Write = (lines: readonly AuditFields[]) => Promise<void>;

/** The lines that say how many others are not there, or not on the output. */
function createGaps({ nowMs, observe, output }: AuditLogOptions, write: Write) {
  let lost = 0;
  let toldOfOutput = 0;
  let toldMs = Number.NEGATIVE_INFINITY;
  const tell = async (fields: AuditFields) => {
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
        await tell({ lines });
        lost -= lines;
      }
      const lines = output.dropped() - toldOfOutput;
      if (lines === 0 || nowMs() - toldMs < OUTPUT_GAP_EVERY_MS) return;
      await tell({ output: "stdout", lines });
      toldOfOutput += lines;
      toldMs = nowMs();
    },
  };
}

/** Seals lines and writes them, all of them or none; without a file as many as the output takes. */
function createWriter({ key, file, output, newRandom }: AuditLogOptions) {
  let written = file?.last ?? { instance: newRandom(), n: 0, hmac: "" };
  return {
    state: () => written,
    async write(lines: readonly AuditFields[]): Promise<void> {
      if (lines.length === 0) return;
      // What is not written has no number: the next line goes on where the log ends.
      const chain = createAuditChain(key, written);
      const sealed = await sealAll(lines, chain);
      if (file === undefined) {
        for (let from = 0; from < sealed.length; from += DELIVERED_AT_ONCE) {
          const portion = sealed.slice(from, from + DELIVERED_AT_ONCE);
          const text = portion.map((line) => `${line.text}\n`).join("");
          if (!(await output.deliver(text, DELIVERED_WITHIN_MS)))
            throw new Error("standard output does not take audit lines, and AUDIT_FILE is off");
          written = portion.at(-1)?.state ?? written;
        }
        return;
      }
      const texts = sealed.map(({ text }) => text);
      await file.append(texts, chain.state());
      written = chain.state();
      // Where there is a file, that is the log: what becomes of the output changes nothing.
      for (const text of texts) output.write(`${text}\n`);
    },
  };
}

async function sealAll(
  lines: readonly AuditFields[],
  chain: ReturnType<typeof createAuditChain>,
): Promise<{ readonly text: string; readonly state: ChainState }[]> {
  const sealed = [];
  for (const fields of lines) {
    sealed.push({ text: chain.seal(fields), state: chain.state() });
    if (sealed.length % SEALED_AT_ONCE === 0) await nextTurn();
  }
  return sealed;
}

function eventFields({ eventId, event, outcome, reason, actor, keyId, ...about }: AuditEvent): AuditFields {
  const { family, owner, role, address, requestId } = about;
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
    address,
    request_id: requestId,
  };
}

function timed(atMs: number, kind: string, fields: AuditFields): AuditFields {
  return { time: new Date(atMs).toISOString(), kind, ...fields };
}
