import { PassThrough } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import { sendProblem } from "./problem.ts";

/** More streams than this on one listener get 503. Each needs a connection and a buffer. */
const MAX_STREAMS = 64;
/** So one caller cannot keep the others out. */
const MAX_STREAMS_PER_CALLER = MAX_STREAMS / 2;
/** A client that has not read this many events in a row is cut off. */
const MAX_SKIPPED = 10;

export interface EventStreamOptions {
  readonly everyMs: number;
  /** The data of the next event, one line. All streams get the same. */
  readonly next: () => Promise<string>;
}

export interface EventStreams {
  /**
   * Sends events (text/event-stream) until the client leaves.
   * @param endedBecause asked before each event: why the stream ends; undefined while it goes on
   */
  open(
    request: FastifyRequest,
    reply: FastifyReply,
    endedBecause: () => Promise<string | undefined>,
  ): Promise<FastifyReply>;
  /** Ends all streams, because the listener is about to close. */
  close(): void;
}

interface Stream {
  /** The name of the caller in audit lines. */
  readonly caller: string;
  readonly body: PassThrough;
  readonly endedBecause: () => Promise<string | undefined>;
  skipped: number;
}

/** Streams of the same events. Nothing runs while there is no stream. */
export function createEventStreams({ everyMs, next }: EventStreamOptions): EventStreams {
  const streams = new Set<Stream>();
  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  const end = (stream: Stream, reason?: string) => {
    streams.delete(stream);
    stream.body.end(reason === undefined ? undefined : `event: end\ndata: ${reason}\n\n`);
  };
  const tick = async () => {
    // A failed sample is no event: the client sees that the last one is old.
    const data = await next().catch(() => undefined);
    await Promise.all([...streams].map((stream) => advance(stream, data)));
    timer = streams.size === 0 || isClosed ? undefined : setTimeout(tick, everyMs);
  };
  const advance = async (stream: Stream, data: string | undefined) => {
    // The caller cannot be judged: it must ask again.
    const reason = await stream.endedBecause().catch(() => "store-unavailable");
    if (!streams.has(stream)) return;
    if (reason !== undefined) return end(stream, reason);
    if (stream.body.writableNeedDrain) return skip(stream);
    stream.skipped = 0;
    stream.body.write(data === undefined ? ": no figures\n\n" : `data: ${data}\n\n`);
  };
  const skip = (stream: Stream) => {
    stream.skipped++;
    if (stream.skipped < MAX_SKIPPED) return;
    streams.delete(stream);
    stream.body.destroy();
  };
  return {
    async open(request, reply, endedBecause) {
      const caller = request.actor;
      if (isClosed || isFull(streams, caller)) return sendProblem(reply, "too_many_streams");
      reply.type("text/event-stream").headers({ "cache-control": "no-store", "x-accel-buffering": "no" });
      if (request.method === "HEAD") return reply.send();
      const stream: Stream = { caller, body: new PassThrough(), endedBecause, skipped: 0 };
      streams.add(stream);
      stream.body.once("close", () => streams.delete(stream));
      reply.raw.once("close", () => stream.body.destroy());
      stream.body.write("retry: 2000\n\n");
      if (timer === undefined) timer = setTimeout(tick, 0);
      return reply.send(stream.body);
    },
    close() {
      isClosed = true;
      clearTimeout(timer);
      for (const stream of streams) end(stream);
    },
  };
}

function isFull(streams: ReadonlySet<Stream>, caller: string): boolean {
  const own = [...streams].filter((stream) => stream.caller === caller).length;
  return streams.size >= MAX_STREAMS || own >= MAX_STREAMS_PER_CALLER;
}
