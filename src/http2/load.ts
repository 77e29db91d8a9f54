import { failConnection } from "./connection.ts";
import type { Connection, Load, Stream } from "./connection-state.ts";
import { ERROR_CODE } from "./frames.ts";
import { createSharedBytes } from "./shared-bytes.ts";
import { canReceive, closeStream, sendReset } from "./stream.ts";

/** Maximum bytes of incomplete requests, over all connections. */
const MAX_BUFFERED_BYTES = 64 * 1024 * 1024;
/** Maximum bytes of responses that wait for flow-control windows, over all connections. */
const MAX_PENDING_BYTES = 32 * 1024 * 1024;
/** Maximum bytes in sockets whose clients do not read, over all connections. */
const MAX_UNSENT_BYTES = 64 * 1024 * 1024;

/** Maximum number of incomplete requests, over all connections: those of sixteen full connections. */
export const MAX_INCOMPLETE_REQUESTS = 16 * 1024;

/** @param connections the open connections of the process */
export function createLoad(connections: Iterable<Connection>): Load {
  return {
    buffered: createSharedBytes<Stream>(MAX_BUFFERED_BYTES, (stream) => stream.onBodyRejected?.(stream)),
    pending: createSharedBytes<Stream>(MAX_PENDING_BYTES, (stream) =>
      sendReset(stream, ERROR_CODE.ENHANCE_YOUR_CALM),
    ),
    unsent: createSharedBytes<Connection>(MAX_UNSENT_BYTES, ({ socket }) => socket.destroy()),
    incompleteRequests: 0,
    onTooManyIncomplete() {
      const worst = maxBy(connections, countIncomplete);
      if (worst === undefined) return;
      failConnection(worst, ERROR_CODE.ENHANCE_YOUR_CALM);
      for (const stream of worst.streams.values()) closeStream(stream);
    },
  };
}

/** A client that sends each request without delay has few incomplete ones. */
function countIncomplete({ streams, isClosed }: Connection): number {
  let incomplete = 0;
  if (!isClosed) for (const stream of streams.values()) if (canReceive(stream)) incomplete++;
  return incomplete;
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
