import { LatchkeyUnreachable } from "./problem.ts";

/** Without an event for this long, the connection counts as lost. */
const SILENCE_MS = 15_000;
/** The server sends no longer event. */
const MAX_EVENT_CHARS = 4 * 1024 * 1024;

export interface StreamedEvent {
  /** `message` unless the server names another type. */
  readonly type: string;
  readonly data: string;
}

/**
 * The events of a stream (text/event-stream) until the server ends it. Rejects with `LatchkeyUnreachable` if the connection is
 * lost, also if it is silent for 15 seconds.
 */
export async function* streamedEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<StreamedEvent> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    for (let part = await readPart(reader); !part.done; part = await readPart(reader)) {
      const events = (text + decoder.decode(part.value, { stream: true })).split("\n\n");
      text = events.pop() ?? "";
      if (text.length > MAX_EVENT_CHARS) throw new LatchkeyUnreachable("an event of the stream is too long");
      for (const event of events.map(parseEvent)) if (event !== undefined) yield event;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

type Reader = ReadableStreamDefaultReader<Uint8Array>;

async function readPart(reader: Reader): Promise<Awaited<ReturnType<Reader["read"]>>> {
  const silence = Promise.withResolvers<never>();
  const timer = setTimeout(() => silence.reject(new LatchkeyUnreachable("the stream is silent")), SILENCE_MS);
  try {
    return await Promise.race([reader.read(), silence.promise]);
  } catch (error) {
    if (error instanceof LatchkeyUnreachable) throw error;
    throw new LatchkeyUnreachable("the stream was cut off", { cause: error });
  } finally {
    clearTimeout(timer);
  }
}

/** Undefined for a comment. The server sends one line of data in each event. */
function parseEvent(text: string): StreamedEvent | undefined {
  const fields = new Map(
    text.split("\n").map((line) => {
      const colon = line.indexOf(": ");
      return [line.slice(0, colon), line.slice(colon + 2)] as const;
    }),
  );
  const data = fields.get("data");
  return data === undefined ? undefined : { type: fields.get("event") ?? "message", data };
}
