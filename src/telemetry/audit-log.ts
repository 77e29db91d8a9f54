import type { AuditEvent } from "../core/audit-event.ts";
import type { AuditFields, ChainState } from "./audit-chain.ts";
import { createAuditChain } from "./audit-chain.ts";
import type { AuditFile } from "./audit-file.ts";

/** Lines about requests that wait at most; a decision never waits for one. */
const MAX_WAITING = 10_000;

export interface AuditLogOptions {
  readonly key: string;
  /** Undefined: lines go to the output alone. */
  readonly file: AuditFile | undefined;
  /** A line for whoever collects the output. */
  readonly print: (line: string) => void;
  readonly newRandom: () => string;
  readonly nowMs: () => number;
  readonly observe: (kind: "lifecycle" | "request" | "gap", lines: number) => void;
  readonly dropped: () => void;
}

/** Everything that must be accounted for, sealed line by line. */
export interface AuditLog {
  /** Lines about keys: written before it returns, or it throws. */
  events(events: readonly AuditEvent[]): void;
  /** A line about a request; when too many wait it is dropped, and counted. */
  request(fields: () => AuditFields): void;
  /** Writes what waits. */
  flush(): void;
  state(): ChainState;
}

export function createAuditLog(options: AuditLogOptions): AuditLog {
  const { file, nowMs } = options;
  const first = file?.last ?? { instance: options.newRandom(), n: 0, hmac: "" };
  let chain = createAuditChain(options.key, first);
  let waiting: { readonly atMs: number; readonly fields: () => AuditFields }[] = [];
  let lost = 0;
  const write = (lines: readonly AuditFields[]) => {
    const before = chain.state();
    const sealed = lines.map(chain.seal);
    try {
      file?.append(sealed, chain.state());
    } catch (error) {
      // What is not written has no number: the next line goes on where the file ends.
      chain = createAuditChain(options.key, before);
      throw error;
    }
    for (const line of sealed) options.print(line);
  };
  return {
    state: () => chain.state(),
    events(events) {
      if (events.length === 0) return;
      write(events.map((event) => timed(event.atMs, "lifecycle", eventFields(event))));
      options.observe("lifecycle", events.length);
    },
    request(fields) {
      if (waiting.length < MAX_WAITING) waiting.push({ atMs: nowMs(), fields });
      else {
        lost++;
        options.dropped();
      }
    },
    flush() {
      if (waiting.length === 0) return;
      const [lines, gap] = [waiting, lost];
      const told = lines.map(({ atMs, fields }) => timed(atMs, "request", fields()));
      const missing = gap > 0 ? [timed(nowMs(), "gap", { lines: gap })] : [];
      waiting = [];
      lost = 0;
      try {
        write([...told, ...missing]);
      } catch (error) {
        lost = gap + lines.length;
        throw error;
      }
      options.observe("request", lines.length);
      if (gap > 0) options.observe("gap", 1);
    },
  };
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
