import { setTimeout as pause } from "node:timers/promises";
import { linesOf } from "./lines.ts";
import type { SnapshotFile } from "./snapshot.ts";
import { closeAll } from "./snapshot.ts";
import type { AuditVerifier, Verified } from "./verify.ts";

const CHUNK_BYTES = 128 * 1024;

/**
 * Verifies the files and closes them. It pauses for as long as it works, so that it takes at most half of one processor.
 * @param onRead receives the number of bytes that were read so far
 */
export async function verifySnapshot(
  files: readonly SnapshotFile[],
  verifier: AuditVerifier,
  onRead: (bytes: number) => void,
): Promise<Verified> {
  let read = 0;
  try {
    for (const { name, handle, size } of files) {
      if (size === 0) continue;
      const stream = handle.createReadStream({
        start: 0,
        end: size - 1,
        autoClose: false,
        highWaterMark: CHUNK_BYTES,
      });
      stream.on("data", (chunk) => {
        read += chunk.length;
      });
      let startedMs = performance.now();
      for await (const lines of linesOf(stream)) {
        for (const line of lines) {
          // A line that another process is writing. A line that was cut off is missed by the chain.
          if (!line.ended) continue;
          const broken = verifier.take(name, line);
          if (broken !== undefined) return { ok: false, ...broken };
        }
        onRead(read);
        await pause(performance.now() - startedMs);
        startedMs = performance.now();
      }
    }
    return verifier.end();
  } finally {
    await closeAll(files);
  }
}
