import type { ServerHttp2Stream } from "node:http2";
import { constants } from "node:http2";

const SWEEP_EVERY_MS = 1000;

/** The calls that are not over. One that has not come whole, or whose answer nobody takes, is cut off at its end. */
export interface OpenCalls {
  /** `endMs` by the clock given. */
  add(stream: ServerHttp2Stream, endMs: number): void;
  /** It may stay open as long as its caller likes. */
  keep(stream: ServerHttp2Stream): void;
  /** The connections that have one. */
  sessions(): ReadonlySet<unknown>;
  close(): void;
}

export function createOpenCalls(nowMs: () => number): OpenCalls {
  const open = new Map<ServerHttp2Stream, number>();
  function forget(this: ServerHttp2Stream): void {
    open.delete(this);
  }
  const sweep = setInterval(() => {
    const now = nowMs();
    for (const [stream, endMs] of open) if (endMs <= now) stream.close(constants.NGHTTP2_CANCEL);
  }, SWEEP_EVERY_MS);
  sweep.unref();
  return {
    add(stream, endMs) {
      open.set(stream, endMs);
      stream.on("close", forget);
    },
    keep: (stream) => void open.set(stream, Number.POSITIVE_INFINITY),
    sessions: () => new Set([...open.keys()].map(({ session }) => session)),
    close: () => clearInterval(sweep),
  };
}
