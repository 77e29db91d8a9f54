import { Worker } from "node:worker_threads";
import { threadMemoryMib } from "../config/usable-memory.ts";
import { errorMessage } from "../core/error-message.ts";
import type { ChainState } from "./chain.ts";
import type { Verified } from "./verify.ts";

/** How far a verification of the log of this instance is. Times are milliseconds since 1970. */
export type VerificationState =
  | { readonly kind: "off" }
  | { readonly kind: "never" }
  | (Progress & { readonly kind: "running" })
  | (Progress & Ended & { readonly kind: "done"; readonly verified: Verified })
  | (Progress & Ended & { readonly kind: "failed"; readonly problem: string });

interface Progress {
  readonly startedMs: number;
  readonly files: number;
  readonly bytesRead: number;
  readonly bytesTotal: number;
}

interface Ended {
  readonly endedMs: number;
}

export type ThreadMessage =
  | { readonly kind: "opened"; readonly files: number; readonly bytes: number }
  | { readonly kind: "read"; readonly bytes: number }
  | { readonly kind: "done"; readonly verified: Verified }
  | { readonly kind: "failed"; readonly problem: string };

/** Verifies the log that an instance writes, in a thread of its own. One run at a time. */
export interface Verification {
  /** Starts a run, unless one is running. */
  start(): VerificationState;
  state(): VerificationState;
  stop(): Promise<void>;
}

export interface VerificationOptions {
  readonly path: string;
  readonly key: string;
  /** The position of this process's chain in the file. The file must contain it. */
  readonly written: () => ChainState;
  readonly nowMs: () => number;
}

// The sources are TypeScript, the package contains JavaScript.
const THREAD = new URL(`./verify-thread.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url);
const MAX_HEAP_MIB = 128;

/** Of an instance that writes no file. */
export const NO_VERIFICATION: Verification = {
  start: () => ({ kind: "off" }),
  state: () => ({ kind: "off" }),
  stop: async () => undefined,
};

export function createVerification({ path, key, written, nowMs }: VerificationOptions): Verification {
  let state: VerificationState = { kind: "never" };
  let thread: Worker | undefined;
  const onMessage = (message: ThreadMessage): void => {
    if (state.kind !== "running") return;
    // With its result a run has ended, although its thread lives a moment longer.
    if (message.kind === "done" || message.kind === "failed") thread = undefined;
    if (message.kind === "opened") state = { ...state, files: message.files, bytesTotal: message.bytes };
    else if (message.kind === "read") state = { ...state, bytesRead: message.bytes };
    else if (message.kind === "failed") fail(message.problem);
    else {
      const { verified } = message;
      const bytesRead = verified.ok ? state.bytesTotal : state.bytesRead;
      state = { ...state, bytesRead, kind: "done", endedMs: nowMs(), verified };
    }
  };
  const fail = (problem: string): void => {
    if (state.kind === "running") state = { ...state, kind: "failed", endedMs: nowMs(), problem };
  };
  return {
    start() {
      if (thread !== undefined) return state;
      const last = written();
      const checkpoints = last.n === 0 ? [] : [last];
      state = { kind: "running", startedMs: nowMs(), files: 0, bytesRead: 0, bytesTotal: 0 };
      const own = new Worker(THREAD, {
        workerData: { path, key, checkpoints },
        resourceLimits: { maxOldGenerationSizeMb: threadMemoryMib(MAX_HEAP_MIB) },
      });
      thread = own;
      // The thread must not keep the process alive.
      own.unref();
      own.on("message", (message: ThreadMessage) => thread === own && onMessage(message));
      const end = (problem: string) => {
        if (thread !== own) return;
        thread = undefined;
        fail(problem);
      };
      own.on("error", (error) => end(errorMessage(error)));
      own.on("exit", () => end("the verification has ended without a result"));
      return state;
    },
    state: () => state,
    async stop() {
      await thread?.terminate();
    },
  };
}
