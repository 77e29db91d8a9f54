import type { AuditFile } from "../audit/file.ts";
import { openAuditFile } from "../audit/file.ts";
import type { AuditLog } from "../audit/log.ts";
import { createAuditLog } from "../audit/log.ts";
import { createAuditRetention } from "../audit/retention.ts";
import type { Verification } from "../audit/verification.ts";
import { createVerification, NO_VERIFICATION } from "../audit/verification.ts";
import { makeFolder, notAFile } from "../config/folders.ts";
import type { Settings } from "../config/settings.ts";
import { errorMessage } from "../core/error-message.ts";
import { lockForProcess } from "../sqlite/process-lock.ts";
import type { Output } from "../telemetry/output.ts";
import { randomText } from "./random-id.ts";
import { repeat } from "./repeat.ts";
import type { Runtime } from "./runtime.ts";

const RETENTION_EVERY_MS = 600_000;
/** Programs that read the log may be in the folder's group. */
const FOLDER_MODE = 0o750;

export interface AuditOutputDeps {
  /** Seals the lines. */
  readonly key: string;
  readonly output: Output;
  /** Which of several worker processes this is, from 1. */
  readonly worker?: { readonly index: number };
}

export interface AuditLines {
  readonly log: AuditLog;
  /** Deletes files of the log that are too many or too old, when it is due. Must not run beside other work on the log. */
  readonly dropFiles: () => Promise<void>;
  readonly verification: Verification;
}

/** Opens the log that AUDIT_FILE names. Rejects, naming the setting, if it cannot be written. */
export async function openAuditLines(runtime: Runtime, deps: AuditOutputDeps): Promise<AuditLines> {
  const { settings, shutdown, metrics } = runtime;
  let isDropDue = true;
  const markDropDue = async () => {
    isDropDue = true;
  };
  const file = settings.AUDIT_FILE === "off" ? undefined : await openFile(settings, deps, markDropDue);
  if (file !== undefined) shutdown.defer("the audit file", file.close);
  const log = createAuditLog({
    key: deps.key,
    file,
    output: deps.output,
    newRandom: randomText,
    nowMs: Date.now,
    observe: metrics.auditLines,
    onDropped: metrics.auditDropped,
    throttled: metrics.auditThrottled,
  });
  if (file === undefined) return { log, dropFiles: async () => undefined, verification: NO_VERIFICATION };
  const verification = createVerification({
    path: settings.AUDIT_FILE,
    key: deps.key,
    written: log.state,
    nowMs: Date.now,
  });
  shutdown.defer("the verification of the audit log", verification.stop);
  // Of several workers that write one file, the first one deletes old files.
  if ((deps.worker?.index ?? 1) !== 1) return { log, dropFiles: async () => undefined, verification };
  const drop = createRetention(runtime, { file, log, key: deps.key });
  const stop = repeat(RETENTION_EVERY_MS, markDropDue, () => undefined);
  shutdown.defer("the retention of audit files", stop);
  return {
    log,
    verification,
    async dropFiles() {
      if (!isDropDue) return;
      isDropDue = false;
      await drop();
    },
  };
}

function createRetention(
  { settings, clock }: Pick<Runtime, "settings" | "clock">,
  log: { readonly file: AuditFile; readonly log: AuditLog; readonly key: string },
): () => Promise<void> {
  return createAuditRetention({
    ...log,
    maxFiles: settings.AUDIT_FILES,
    maxAgainBytes: settings.AUDIT_FILE_MAX / 2,
    maxAgeMs: settings.AUDIT_RETENTION * 1000,
    nowMs: clock.forgetBeforeMs,
  });
}

/** Only a regular file is a log: a device keeps no lines, and opening a pipe may block. */
async function openFile(
  { AUDIT_FILE: path, AUDIT_FILE_MAX: maxBytes }: Settings,
  { key, worker }: AuditOutputDeps,
  onRotate: () => void,
): Promise<AuditFile> {
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
      onRotate,
    });
  } catch (error) {
    throw new Error(`AUDIT_FILE ${path} cannot be written: ${errorMessage(error)}`);
  }
}

/** Each of several workers that write one file has a chain of its own. */
function chainOf(path: string, worker = 1): string {
  return worker === 1 ? path : `${path}.worker-${worker}`;
}
