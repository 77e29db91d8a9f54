import { createReadStream } from "node:fs";
import { rename, unlink } from "node:fs/promises";
import { createInterface } from "node:readline";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { AuditFields, ChainState } from "./chain.ts";
import { verifySealedLine } from "./chain.ts";
import type { AuditFile, RotatedFile } from "./file.ts";
import { DROPPING } from "./file.ts";
import type { AuditLog } from "./log.ts";

export interface AuditRetentionOptions {
  readonly file: Pick<AuditFile, "rotatedFiles">;
  readonly log: Pick<AuditLog, "rewrite" | "droppedTo">;
  readonly key: string;
  /** Maximum number of files, including the current one. At least 2. */
  readonly maxFiles: number;
  /** Maximum number of bytes of lines about keys that are copied from one dropped file. Half a file leaves space for new lines. */
  readonly maxAgainBytes: number;
  readonly maxAgeMs: number;
  /** Undefined while no clock can be trusted. Nothing is dropped by age then. */
  readonly nowMs: () => number | undefined;
}

/**
 * Drops files that are too many or too old. Lines about keys that are not too old are first copied to the current log, so
 * that lines about requests are lost first. Before a file is removed, a sealed line records the positions of the chains at
 * its end. Must not run while another method of the log runs. Rejects if the log cannot be written, and then no file was
 * removed.
 */
export function createAuditRetention(options: AuditRetentionOptions): () => Promise<void> {
  const { file, maxFiles } = options;
  const nextSurplus = async (): Promise<RotatedFile | undefined> => {
    const [oldest, ...others] = await file.rotatedFiles();
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

/** Lines written before this time are too old. */
function oldMs({ nowMs, maxAgeMs }: AuditRetentionOptions): number {
  return Math.max(0, (nowMs() ?? 0) - maxAgeMs);
}

/** Maximum number of files dropped per run, because copied lines may fill files themselves. */
const MAX_DROPPED_AT_ONCE = 10;
/** Lines read between two turns of the event loop. */
const READ_AT_ONCE = 100;
const WRITTEN_AT_ONCE = 200;

async function drop(given: string, options: AuditRetentionOptions): Promise<void> {
  // Renames the file first. A file that cannot be renamed cannot be removed, and its lines must not be copied again at every run.
  const path = given.endsWith(DROPPING) ? given : `${given}${DROPPING}`;
  if (path !== given) await rename(given, path);
  const { log, maxAgainBytes } = options;
  const since = new Date(oldMs(options)).toISOString();
  const isKept = ({ kind, time }: AuditFields) => kind === "lifecycle" && String(time) >= since;
  const ends = new Map<string, ChainState>();
  let bytes = 0;
  for await (const { sealed, length } of sealedLines(path, options.key)) {
    // Repeats the positions of files dropped earlier, because the line that recorded them is dropped with this file.
    for (const end of [...sealed.droppedTo, sealed])
      if (end.n > (ends.get(end.instance)?.n ?? 0)) ends.set(end.instance, end);
    if (isKept(sealed.members)) bytes += length;
  }
  let portion: AuditFields[] = [];
  for await (const { sealed, length } of sealedLines(path, options.key)) {
    if (!isKept(sealed.members)) continue;
    // Keeps the newest lines if there are too many.
    if (bytes <= maxAgainBytes) portion.push(withoutChain(sealed.members));
    else bytes -= length;
    if (portion.length < WRITTEN_AT_ONCE) continue;
    await log.rewrite(portion);
    portion = [];
  }
  await log.rewrite(portion);
  await log.droppedTo([...ends.values()].map(({ instance, n, hmac }) => ({ instance, n, hmac })));
  await unlink(path);
}

/** The lines sealed under our key. All others are skipped. */
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
