import { failConnection } from "./connection.ts";
import type { Connection, Load, LoadLimits, Stream } from "./connection-state.ts";
import { ERROR_CODE } from "./frames.ts";
import { createSharedBytes } from "./shared-bytes.ts";
import { canReceive, closeStream, sendReset } from "./stream.ts";

const MIB = 1024 * 1024;

const LIMITS: LoadLimits = {
  buffered: { process: 64 * MIB, connection: 16 * MIB },
  pending: { process: 32 * MIB, connection: 4 * MIB },
  unsent: { process: 64 * MIB, connection: MIB },
  // Those of sixteen full connections.
  incompleteRequests: 16 * 1024,
};

/** @param connections the open connections of the process */
export function createLoad(connections: Iterable<Connection>, limits: LoadLimits = LIMITS): Load {
  return {
    limits,
    buffered: createSharedBytes<Stream>(limits.buffered.process, (stream) => stream.onBodyRejected?.(stream)),
    pending: createSharedBytes<Stream>(limits.pending.process, (stream) =>
      sendReset(stream, ERROR_CODE.ENHANCE_YOUR_CALM),
    ),
    unsent: createSharedBytes<Connection>(limits.unsent.process, ({ socket }) => socket.destroy()),
    incompleteRequests: 0,
    onTooManyIncomplete() {
      const worst = maxBy(connections, countIncomplete);
      if (worst === undefined) return;
      failConnection(worst, ERROR_CODE.ENHANCE_YOUR_CALM);
      for (const stream of worst.streams.values()) closeStream(stream);
    },
  };
}

/**
 * A client that sends each request without delay has few incomplete ones. Those of a failed connection come first:
 * they get no responses, but stay for as long as the client does not read.
 */
function countIncomplete({ streams, isClosed }: Connection): number {
  let incomplete = 0;
  for (const stream of streams.values()) if (canReceive(stream)) incomplete++;
  return isClosed && incomplete > 0 ? Number.POSITIVE_INFINITY : incomplete;
}

/** The first item with the highest number above 0. */
export function maxBy<Item>(items: Iterable<Item>, numberOf: (item: Item) => number): Item | undefined {
  let found: Item | undefined;
  let highest = 0;
  for (const item of items) {
    const number = numberOf(item);
    if (number <= highest) continue;
    found = item;
    highest = number;
  }
  return found;
}
