import { FLAG, FRAME } from "../../src/http2/frames.ts";
import { createHpackDecoder } from "../../src/http2/hpack.ts";
import type { FrameConnection, SeenFrame } from "../support/http2-frames.ts";
import { ERROR_NAMES } from "../support/http2-frames.ts";

/** What a server has sent so far. */
export interface Observed {
  readonly pingAcks: number;
  readonly streams: ReadonlyMap<number, ObservedStream>;
  /** The code of its connection error. */
  readonly goaway: string | undefined;
}

export interface ObservedStream {
  status?: string;
  isEnded?: true;
  reset?: string;
}

/**
 * Returns what the server has sent until now. Frames after a connection error do not count.
 * @param ownPing the payload of the PINGs whose acknowledgements are counted
 */
export function createObserver({ frames }: FrameConnection, ownPing: Buffer): () => Observed {
  const hpack = createHpackDecoder();
  const streams = new Map<number, ObservedStream>();
  const observed = { pingAcks: 0, streams, goaway: undefined as string | undefined };
  let next = 0;
  const onFrame = ({ type, flags, streamId, payload }: SeenFrame) => {
    // A recorded client may send PINGs as well.
    if (type === FRAME.PING && (flags & FLAG.ACK) !== 0 && payload.equals(ownPing)) observed.pingAcks++;
    if (type === FRAME.GOAWAY && payload.readUInt32BE(4) !== 0)
      observed.goaway = ERROR_NAMES[payload.readUInt32BE(4)] ?? "unknown";
    if (type > FRAME.RST_STREAM || type === FRAME.PRIORITY) return;
    const stream = streams.get(streamId) ?? {};
    streams.set(streamId, stream);
    if (type === FRAME.RST_STREAM) stream.reset = ERROR_NAMES[payload.readUInt32BE(0)] ?? "unknown";
    else if ((flags & FLAG.END_STREAM) !== 0) stream.isEnded = true;
    if (type !== FRAME.HEADERS) return;
    hpack.decode(payload, (name, value) => {
      if (name === ":status") stream.status = value;
    });
  };
  return () => {
    for (; next < frames.length && observed.goaway === undefined; next++) {
      const frame = frames[next];
      if (frame !== undefined) onFrame(frame);
    }
    return observed;
  };
}
