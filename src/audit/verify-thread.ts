import { parentPort, workerData } from "node:worker_threads";
import { z } from "zod";
import { errorMessage } from "../core/error-message.ts";
import { closeAll, openSnapshot } from "./snapshot.ts";
import type { ThreadMessage } from "./verification.ts";
import { createAuditVerifier } from "./verify.ts";
import { verifySnapshot } from "./verify-snapshot.ts";

const source = z.object({
  path: z.string(),
  key: z.string(),
  checkpoints: z.array(z.object({ instance: z.string(), n: z.int(), hmac: z.string() })),
});

/** Between two reports. */
const REPORT_EVERY_MS = 200;

// Entry of a worker thread that verifies the log of an instance while the instance writes it.
async function verify(): Promise<void> {
  const { path, key, checkpoints } = source.parse(workerData);
  const files = await openSnapshot(path);
  const bytes = files.reduce((sum, { size }) => sum + size, 0);
  send({ kind: "opened", files: files.length, bytes });
  // Before the first line of a new log. A log that was emptied has a checkpoint.
  if (bytes === 0 && checkpoints.length === 0) {
    await closeAll(files);
    return send({ kind: "done", verified: { ok: true, chains: [], lines: 0 } });
  }
  let reportedMs = 0;
  const verified = await verifySnapshot(files, createAuditVerifier(key, checkpoints), (read) => {
    if (performance.now() - reportedMs < REPORT_EVERY_MS) return;
    reportedMs = performance.now();
    send({ kind: "read", bytes: read });
  });
  send({ kind: "done", verified });
}

function send(message: ThreadMessage): void {
  parentPort?.postMessage(message);
}

verify().catch((error: unknown) => send({ kind: "failed", problem: errorMessage(error) }));
