import type { AuditFile } from "../audit/file.ts";
import { openAuditFile } from "../audit/file.ts";
import type { AuditLog } from "../audit/log.ts";
import { createAuditLog } from "../audit/log.ts";
import { createAuditRetention } from "../audit/retention.ts";
import { makeFolder, notAFile } from "../config/folders.ts";
import type { Settings } from "../config/settings.ts";
import type { Clock } from "../core/clock.ts";
import { errorMessage } from "../core/error-message.ts";
import { lockForProcess } from "../sqlite/process-lock.ts";
import type { Metrics } from "../telemetry/metrics/metrics.ts";
import type { Output } from "../telemetry/output.ts";
import { randomText } from "./random-id.ts";
import { repeat } from "./repeat.ts";
import type { Shutdown } from "./shutdown.ts";

const LOOK_EVERY_MS = 600_000;
/** Whoever reads the log may be of the folder's group. */
const FOLDER_MODE = 0o750;

export interface AuditOutputDeps {
  readonly settings: Settings;
  readonly key: string;
  readonly closing: Shutdown;
  readonly metrics: Metrics;
  readonly output: Output;
  readonly clock: Pick<Clock, "forgetBeforeMs">;
  /** Which of several processes this is. */
  readonly worker?: { readonly index: number };
}

export interface AuditLines {
  readonly log: AuditLog;
  /** Drops files of the log that are too many or too old, when it is time to look; comes after other work on the log. */
  readonly dropFiles: () => Promise<void>;
}

/** Opens the log that AUDIT_FILE names. Rejects, naming the setting, where it cannot be written. */
export async function openAuditLines(parts: AuditOutputDeps): Promise<AuditLines> {
  const { settings, key, closing, metrics, output, worker } = parts;
  let dropDue = true;
  const look = async () => {
    dropDue = true;
  };
  const file = settings.AUDIT_FILE === "off" ? undefined : await openFile(parts, look);
  if (file !== undefined) closing.defer("the audit file", file.close);
  const log = createAuditLog({
    key,
    file,
    output,
    newRandom: randomText,
    nowMs: Date.now,
    observe: metrics.auditLines,
    onDropped: metrics.auditDropped,
    throttled: metrics.auditThrottled,
  });
  // Of several workers that write one file, one drops what is too much.
  if (file === undefined || (worker?.index ?? 1) !== 1) return { log, dropFiles: async () => undefined };
  const drop = retentionOf(parts, { file, log, key });
  closing.defer(
    "looking for old audit files",
    repeat(LOOK_EVERY_MS, look, () => undefined),
  );
  return {
    log,
    async dropFiles() {
      if (!dropDue) return;
      dropDue = false;
      await drop();
    },
  };
}

function retentionOf(
  { settings, clock: { forgetBeforeMs: nowMs } }: AuditOutputDeps,
  log: { readonly file: AuditFile; readonly log: AuditLog; readonly key: string },
): () => Promise<void> {
  return createAuditRetention({
    ...log,
    maxFiles: settings.AUDIT_FILES,
    maxAgainBytes: settings.AUDIT_FILE_MAX / 2,
    maxAgeMs: settings.AUDIT_RETENTION * 1000,
    nowMs,
  });
}

/** A device takes lines and keeps none, a pipe holds up whoever opens it: only a regular file is a log. */
async function openFile({ settings, key, worker }: AuditOutputDeps, rotated: () => void): Promise<AuditFile> {
  const { AUDIT_FILE: path, AUDIT_FILE_MAX: maxBytes } = settings;
  const found = notAFile(path);
  if (found !== undefined)
    throw new Error(`AUDIT_FILE ${path} must name a regular file, or be "off": it is ${found}`);
  try {
    return await openAuditFile({
      path,
      chain: chainOf(path, worker?.index),
      claim: lockForProcess,
      key,
      nowMs: Date.now,
      newRandom: randomText,
      maxBytes,
      makeFolder: (folder) => makeFolder(folder, FOLDER_MODE),
      onRotate: rotated,
    });
  } catch (error) {
    throw new Error(`AUDIT_FILE ${path} cannot be written: ${errorMessage(error)}`);
  }
}

/** Each of several workers that write one file has a chain of its own. */
function chainOf(path: string, worker = 1): string {
  return worker === 1 ? path : `${path}.worker-${worker}`;
}
