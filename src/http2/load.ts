import type { Connection, Load } from "./connection.ts";
import { fail } from "./connection.ts";
import { ERROR_CODE } from "./frames.ts";
import { createSharedBytes } from "./shared-bytes.ts";
import type { Stream } from "./stream.ts";
import { closeStream, sendReset } from "./stream.ts";

/** Of all connections together: requests that have not come whole. */
export const MAX_HELD_BYTES = 64 * 1024 * 1024;
/** Responses for which their callers have opened no window. */
export const MAX_WAITING_BYTES = 32 * 1024 * 1024;
/** What lies in the sockets of callers that do not read. */
export const MAX_UNSENT_BYTES = 64 * 1024 * 1024;

/** @param open the connections of the process */
export function createLoad(open: Iterable<Connection>): Load {
  return {
    held: createSharedBytes<Stream>(MAX_HELD_BYTES, (stream) => stream.giveUp?.(stream)),
    waiting: createSharedBytes<Stream>(MAX_WAITING_BYTES, (stream) =>
      sendReset(stream, ERROR_CODE.ENHANCE_YOUR_CALM),
    ),
    unsent: createSharedBytes<Connection>(MAX_UNSENT_BYTES, ({ socket }) => socket.destroy()),
    unasked: 0,
    onTooManyUnasked() {
      const most = maxBy(open, unaskedOf);
      if (most === undefined) return;
      fail(most, ERROR_CODE.ENHANCE_YOUR_CALM);
      for (const stream of most.streams.values()) closeStream(stream);
    },
  };
}

/** A caller that sends each call at once has few of them. */
function unaskedOf({ streams, isOver }: Connection): number {
  let unasked = 0;
  if (!isOver) for (const { halfClosedRemote: hasAsked } of streams.values()) if (!hasAsked) unasked++;
  return unasked;
}

/** The item with the highest number above 0, the first one of several. */
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
