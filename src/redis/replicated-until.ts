import type { ServerState } from "./server-state.ts";

/**
 * Follows how far replicas have got. Returns a function that takes each state of the server, and the monotonic time at which it
 * was requested. It returns the monotonic time before which all writes are on a replica; -Infinity if none is known to be.
 */
export function createReplicatedUntil(): (state: ServerState, sentMs: number) => number {
  let mark: { readonly replicationId: string; readonly offset: number; readonly atMs: number } | undefined;
  let untilMs = Number.NEGATIVE_INFINITY;
  return ({ replicationId, offset, replicaOffset }, sentMs) => {
    // Offsets of another history say nothing about this one.
    if (mark?.replicationId !== replicationId) {
      mark = undefined;
      untilMs = Number.NEGATIVE_INFINITY;
    }
    if (mark !== undefined && replicaOffset >= mark.offset) {
      untilMs = mark.atMs;
      mark = undefined;
    }
    mark ??= { replicationId, offset, atMs: sentMs };
    return untilMs;
  };
}
