import { setImmediate as nextTurn } from "node:timers/promises";
import type { AuditEvent } from "../core/audit-event.ts";
import type { AuditFields, ChainState } from "./audit-chain.ts";
import { createAuditChain } from "./audit-chain.ts";
import type { AuditFile } from "./audit-file.ts";

/** Lines about requests that wait at most; a decision never waits for one. */
const MAX_WAITING = 10_000;
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
  readonly observe: (kind: "lifecycle" | "request" | "access" | "gap", lines: number) => void;
  readonly dropped: (lines: number) => void;
}

/** Everything that must be accounted for, sealed line by line. `events` and `flush` come one after the other. */
export interface AuditLog {
  /** Lines about keys: written before it resolves, or it rejects. */
  events(events: readonly AuditEvent[]): Promise<void>;
  /** A line about a request at one of the doors; when too many wait it is dropped, and counted. */
  request(kind: "request" | "access", fields: () => AuditFields): void;
  /** Writes what waits. */
  flush(): Promise<void>;
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
      if (events.length === 0) return;
      await write(events.map((event) => timed(event.atMs, "lifecycle", eventFields(event))));
      observe("lifecycle", events.length);
    },
    request(kind, fields) {
      if (waiting.length < MAX_WAITING) waiting.push({ kind, atMs: nowMs(), fields: fields() });
      else {
        lost++;
        options.dropped(1);
      }
    },
    async flush() {
      const lines = waiting;
      waiting = [];
      try {
        if (lines.length > 0) await write(lines.map(({ kind, atMs, fields }) => timed(atMs, kind, fields)));
      } catch (error) {
        lost += lines.length;
        options.dropped(lines.length);
        throw error;
      }
      for (const { kind } of lines) observe(kind, 1);
      await writeGap();
    },
  };
}

/** Seals lines and writes them, all of them or none. */
function createWriter({ key, file, print, newRandom }: AuditLogOptions) {
  let written = file?.last ?? { instance: newRandom(), n: 0, hmac: "" };
  return {
    state: () => written,
    async write(lines: readonly AuditFields[]): Promise<void> {
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
