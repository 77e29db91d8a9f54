import type { EventEmitter } from "node:events";
import type { Worker } from "node:worker_threads";
import type { ShadowEvent, ShadowReport } from "./messages.ts";
import { bytesOf } from "./messages.ts";

/** Maximum bytes of events that the thread has not processed. */
const MAX_QUEUED_BYTES = 16 * 1024 * 1024;
/** A thread that owes a report at two checks in a row has stopped. A paused process misses one check at most. */
const CHECK_EVERY_MS = 5000;
const RESTART_AFTER_MS = 60_000;

/** The part of a worker thread that the link uses. */
export type ShadowThread = Pick<Worker, "postMessage" | "terminate" | "unref"> & EventEmitter;

export interface ShadowLinkOptions {
  readonly startThread: () => ShadowThread;
  readonly onReport: (report: ShadowReport) => void;
  /** Called when the thread has ended or stopped, or did not start. It starts again later, and knows no connection then. */
  readonly onFailure: (error: unknown) => void;
  readonly maxQueuedBytes?: number;
  readonly checkEveryMs?: number;
  readonly restartAfterMs?: number;
}

/** Sends events to the thread of the shadow, once a turn. Never waits for it, and never throws. */
export interface ShadowLink {
  isUp(): boolean;
  /** False: the queue is full, and the event is not sent. An event without bytes is always sent. */
  send(event: ShadowEvent): boolean;
  close(): Promise<void>;
}

export function openShadowLink(options: ShadowLinkOptions): ShadowLink {
  const { maxQueuedBytes = MAX_QUEUED_BYTES, restartAfterMs = RESTART_AFTER_MS } = options;
  let running: RunningThread | undefined;
  let restart: NodeJS.Timeout | undefined;
  const fail = (error: unknown) => {
    running = undefined;
    restart = setTimeout(start, restartAfterMs);
    restart.unref();
    options.onFailure(error);
  };
  const start = () => {
    try {
      const started = runThread(options, (error) => {
        if (running !== started) return;
        void started.stop();
        fail(error);
      });
      running = started;
    } catch (error) {
      // The system has no thread left.
      fail(error);
    }
  };
  const check = setInterval(() => running?.check(), options.checkEveryMs ?? CHECK_EVERY_MS);
  check.unref();
  start();
  return {
    isUp: () => running !== undefined,
    send(event) {
      const bytes = bytesOf(event);
      if (running === undefined || (bytes > 0 && running.bytes() + bytes > maxQueuedBytes)) return false;
      running.send(event, bytes);
      return true;
    },
    async close() {
      clearInterval(check);
      clearTimeout(restart);
      const last = running;
      running = undefined;
      await last?.stop();
    },
  };
}

interface RunningThread {
  /** Bytes of events, in the queue or sent, that are not processed. */
  bytes(): number;
  send(event: ShadowEvent, bytes: number): void;
  check(): void;
  stop(): Promise<unknown>;
}

function runThread(
  { startThread, onReport }: Pick<ShadowLinkOptions, "startThread" | "onReport">,
  onFailure: (error: unknown) => void,
): RunningThread {
  const thread = startThread();
  // The thread must not keep the process alive.
  thread.unref();
  let queue: ShadowEvent[] = [];
  let unprocessed = 0;
  /** Checks since the last report that have found unprocessed bytes. */
  let silentChecks = 0;
  thread.on("message", (report: ShadowReport) => {
    unprocessed -= report.bytes;
    silentChecks = 0;
    onReport(report);
  });
  thread.on("error", onFailure);
  thread.on("exit", (code) => onFailure(new Error(`its thread has ended with code ${code}`)));
  const flush = () => {
    const events = queue;
    queue = [];
    try {
      thread.postMessage(events, events.flatMap(buffersOf));
    } catch (error) {
      onFailure(error);
    }
  };
  return {
    bytes: () => unprocessed,
    send(event, bytes) {
      unprocessed += bytes;
      if (queue.push(event) === 1) setImmediate(flush);
    },
    check() {
      silentChecks = unprocessed === 0 ? 0 : silentChecks + 1;
      if (silentChecks >= 2) onFailure(new Error("its thread does not respond"));
    },
    stop: () => thread.terminate(),
  };
}

/** Moved to the thread, not copied. */
function buffersOf(event: ShadowEvent): ArrayBuffer[] {
  if (event.kind === "bytes") return [event.bytes.buffer];
  return event.kind === "answered" ? [event.call.message.buffer, event.call.response.buffer] : [];
}
