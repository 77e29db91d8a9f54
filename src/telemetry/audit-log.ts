import { setImmediate as nextTurn } from "node:timers/promises";
import type { AuditEvent } from "../core/audit-event.ts";
import type { AuditFields, ChainState } from "./audit-chain.ts";
import { createAuditChain, DROPPED_KIND } from "./audit-chain.ts";
import type { AuditFile } from "./audit-file.ts";

/** Lines about requests that wait at most; a decision never waits for one. */
const MAX_WAITING = 10_000;
/** Lines that are written in one piece: what becomes of them, down to their bytes, holds up no Check. */
const WRITTEN_AT_ONCE = 500;
/** Lines sealed before Checks get their turn again: a fraction of a millisecond. */
const SEALED_AT_ONCE = 50;

export interface AuditLogOptions {
  readonly key: string;
  /** Undefined: lines go to the output alone. */
  readonly file: AuditFile | undefined;
  /** Lines for whoever collects the output. */
  readonly print: (lines: readonly string[]) => Promise<void>;
  readonly newRandom: () => string;
  readonly nowMs: () => number;
  readonly observe: (kind: "lifecycle" | "request" | "access" | "gap" | "dropped", lines: number) => void;
  readonly dropped: (lines: number) => void;
  readonly throttled: (lines: number) => void;
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
  let waiting: Waiting[] = [];
  let lost = 0;
  const drop = (lines: number) => {
    lost += lines;
    options.dropped(lines);
  };
  const writeGap = async () => {
    if (lost === 0) return;
    const gap = lost;
    await write([timed(nowMs(), "gap", { lines: gap })]);
    lost -= gap;
    observe("gap", 1);
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
      lost++;
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
      await writeGap();
    },
    again: write,
    async droppedTo(chains) {
      await write([timed(nowMs(), DROPPED_KIND, { chains })]);
      observe(DROPPED_KIND, 1);
    },
  };
}

/** Seals lines and writes them, all of them or none. */
function createWriter({ key, file, print, newRandom }: AuditLogOptions) {
  let written = file?.last ?? { instance: newRandom(), n: 0, hmac: "" };
  return {
    state: () => written,
    async write(lines: readonly AuditFields[]): Promise<void> {
      if (lines.length === 0) return;
      // What is not written has no number: the next line goes on where the log ends.
      const chain = createAuditChain(key, written);
      const sealed = await sealAll(lines, chain.seal);
      await file?.append(sealed, chain.state());
      // Where there is a file, that is the log; a reader of the output that has gone changes nothing.
      await print(sealed).catch((error: unknown) => {
        if (file === undefined) throw error;
      });
      written = chain.state();
    },
  };
}

async function sealAll(
  lines: readonly AuditFields[],
  seal: (fields: AuditFields) => string,
): Promise<string[]> {
  const sealed: string[] = [];
  for (const fields of lines) {
    sealed.push(seal(fields));
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
