import { createReadStream } from "node:fs";
import { rename, unlink } from "node:fs/promises";
import { createInterface } from "node:readline";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { AuditFields, ChainState } from "./chain.ts";
import { verifySealedLine } from "./chain.ts";
import type { AsideFile, AuditFile } from "./file.ts";
import { DROPPING } from "./file.ts";
import type { AuditLog } from "./log.ts";

export interface AuditRetentionOptions {
  readonly file: Pick<AuditFile, "aside">;
  readonly log: Pick<AuditLog, "again" | "droppedTo">;
  readonly key: string;
  /** Files that stay at most, the one that is written among them; at least 2. */
  readonly maxFiles: number;
  /** Bytes of lines about keys that are written again at most, of one file: half a file lets the log get on. */
  readonly maxAgainBytes: number;
  readonly maxAgeMs: number;
  /** Undefined while no clock can be trusted: then nothing is too old. */
  readonly nowMs: () => number | undefined;
}

/**
 * Drops files that are too many or too old. Lines about requests go first: what a file that must go says of keys, and is not
 * too old, is written into the log again. A sealed line tells how far the chains were dropped, before the file goes. It
 * is called while nothing else of the log is under way. Rejects when the log cannot be written: then the file has not gone.
 */
export function createAuditRetention(options: AuditRetentionOptions): () => Promise<void> {
  const { file, maxFiles } = options;
  const nextSurplus = async (): Promise<AsideFile | undefined> => {
    const [oldest, ...others] = await file.aside();
    if (oldest === undefined) return undefined;
    return others.length + 2 > maxFiles || oldest.writtenMs < oldMs(options) ? oldest : undefined;
  };
  return async () => {
    for (let dropped = 0; dropped < MAX_DROPPED_AT_ONCE; dropped++) {
      const surplus = await nextSurplus();
      if (surplus === undefined) return;
      await drop(surplus.path, options);
    }
  };
}

/** What was written before that is too old. */
function oldMs({ nowMs, maxAgeMs }: AuditRetentionOptions): number {
  return Math.max(0, (nowMs() ?? 0) - maxAgeMs);
}

/** What is written again may fill a file itself: the rest has its turn next time. */
const MAX_DROPPED_AT_ONCE = 10;
/** Lines that are looked at before Checks get their turn again. */
const READ_AT_ONCE = 100;
const WRITTEN_AT_ONCE = 200;

async function drop(given: string, options: AuditRetentionOptions): Promise<void> {
  // What cannot be renamed cannot be removed either: it must not be written again time after time.
  const path = given.endsWith(DROPPING) ? given : `${given}${DROPPING}`;
  if (path !== given) await rename(given, path);
  const { log, maxAgainBytes } = options;
  const since = new Date(oldMs(options)).toISOString();
  const isKept = ({ kind, time }: AuditFields) => kind === "lifecycle" && String(time) >= since;
  const ends = new Map<string, ChainState>();
  let bytes = 0;
  for await (const { sealed, length } of sealedLines(path, options.key)) {
    // The place up to which an older file was dropped is told again, for its line goes with this one.
    for (const end of [...sealed.droppedTo, sealed])
      if (end.n > (ends.get(end.instance)?.n ?? 0)) ends.set(end.instance, end);
    if (isKept(sealed.members)) bytes += length;
  }
  let portion: AuditFields[] = [];
  for await (const { sealed, length } of sealedLines(path, options.key)) {
    if (!isKept(sealed.members)) continue;
    // Of too many the newest stay.
    if (bytes <= maxAgainBytes) portion.push(withoutChain(sealed.members));
    else bytes -= length;
    if (portion.length < WRITTEN_AT_ONCE) continue;
    await log.again(portion);
    portion = [];
  }
  await log.again(portion);
  await log.droppedTo([...ends.values()].map(({ instance, n, hmac }) => ({ instance, n, hmac })));
  await unlink(path);
}

/** Lines that were sealed by us: others say nothing. */
async function* sealedLines(path: string, key: string) {
  let read = 0;
  for await (const line of createInterface({ input: createReadStream(path, "utf8") })) {
    if (++read % READ_AT_ONCE === 0) await nextTurn();
    const sealed = verifySealedLine(key, line);
    if (sealed !== undefined) yield { sealed, length: line.length };
  }
}

function withoutChain({
  audit: _mark,
  instance: _of,
  n: _n,
  prev: _prev,
  ...fields
}: AuditFields): AuditFields {
  return { ...fields, again: true };
}
