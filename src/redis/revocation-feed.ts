import type { FeedEntry } from "../core/revocation/feed-entry.ts";
import { decodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { FeedPosition, FeedPositionOptions } from "./feed-position.ts";
import { createFeedPositions } from "./feed-position.ts";
import { RedisUnavailable } from "./redis-error.ts";
import { texts } from "./replies.ts";

const READ_COUNT = 1000;

export interface FeedOptions extends FeedPositionOptions {
  /** An idle stream replies after this time, so that a missing reply is never mistaken for an idle stream. */
  readonly blockMs: number;
  readonly monotonicMs: () => number;
  /** Called for entries that the view does not hold. */
  readonly onEntry: (entry: OtherEntry) => void;
}

type OtherEntry = Extract<FeedEntry, { kind: "buckets" | "phase" | "legacy" }>;

/** Receives what the other instances publish. */
export interface RevocationFeed {
  /** Reads once and waits up to `blockMs` for an entry. The first read loads a snapshot and does not wait. Rejects if Redis is unavailable. */
  read(): Promise<void>;
  /** Called if the store may have lost data. The next read compares all of it and writes back the missing entries. */
  suspectLoss(): void;
  /** Milliseconds since the last successful read was sent. Infinite before the first. */
  stalenessMs(): number;
}

/**
 * Reads the stream entry by entry. Entries are numbered without gaps. A gap (the stream was trimmed), a step back, another
 * epoch or another server cause a snapshot. A snapshot only adds to the view, so a store that has lost writes never makes a
 * revoked key valid again. Missing entries are written back to the store.
 */
export function createRevocationFeed(options: FeedOptions): RevocationFeed {
  const { reading, monotonicMs } = options;
  const positions = createFeedPositions(options);
  let at: FeedPosition | undefined;
  let lastReadSentMs = Number.NEGATIVE_INFINITY;
  /** The connection on which the position was read. Another connection may lead to another server. */
  let knownConnection: number | undefined;

  const readFrom = async (position: FeedPosition, waits: boolean) => {
    const block = waits ? ["BLOCK", options.blockMs] : [];
    const from = ["STREAMS", reading.keys.feed, position.streamId];
    return entriesOf(await reading.command("XREAD", "COUNT", READ_COUNT, ...block, ...from));
  };
  const readNext = async (position: FeedPosition, waits: boolean): Promise<FeedPosition> => {
    const entries = await readFrom(position, waits);
    const contiguous = applyEntries(position, entries, options);
    const { isCurrent, sequence } = await positions.compare(position);
    if (!contiguous || !isCurrent) return positions.find(position, "gap");
    if (entries.length > 0 || sequence === position.sequence) return position;
    // An entry was published after the read. If it cannot be read now, it is lost.
    const late = await readFrom(position, false);
    if (late.length > 0 && applyEntries(position, late, options)) return position;
    return positions.find(position, "gap");
  };

  return {
    suspectLoss: positions.requestWriteBack,
    stalenessMs: () => monotonicMs() - lastReadSentMs,
    async read() {
      const sentMs = monotonicMs();
      const connection = reading.connections();
      try {
        const known = knownConnection === connection ? at : undefined;
        const position = known ?? (await positions.find(at));
        knownConnection = undefined;
        // The first read after a snapshot does not wait, so that a start does not wait.
        at = await readNext(position, known !== undefined);
        if (reading.connections() === connection) knownConnection = connection;
        lastReadSentMs = sentMs;
        await positions.writeBackMissing();
      } catch (error) {
        // The server of this connection does not respond. A new connection may lead to another server.
        if (error instanceof RedisUnavailable && error.kind === "timeout") reading.reconnect();
        throw error;
      }
    },
  };
}

/** Whether an entry is not held in the view. */
function isOther(entry: FeedEntry): entry is OtherEntry {
  return entry.kind === "buckets" || entry.kind === "phase" || entry.kind === "legacy";
}

interface StreamEntry {
  readonly streamId: string;
  readonly sequence: number;
  readonly text: string;
}

/** Applies the entries after the position and advances it. False at a gap. */
function applyEntries(
  position: FeedPosition,
  entries: readonly StreamEntry[],
  { view, onEntry }: FeedOptions,
): boolean {
  for (const { streamId, sequence, text } of entries) {
    if (sequence > position.sequence + 1) return false;
    position.streamId = streamId;
    if (sequence <= position.sequence) continue;
    const entry = decodeFeedEntry(text);
    if (entry !== undefined) {
      if (isOther(entry)) onEntry(entry);
      else view.apply([entry]);
    }
    position.sequence = sequence;
  }
  return true;
}

/** The reply of XREAD on one stream: null, or `[[name, [[id, [field, value, …]], …]]]`. */
function entriesOf(reply: unknown): readonly StreamEntry[] {
  if (reply === null) return [];
  const [stream] = Array.isArray(reply) ? reply : [];
  const [, entries] = Array.isArray(stream) ? stream : [];
  if (!Array.isArray(entries)) throw new Error("XREAD sent an unexpected reply");
  return entries.map((entry) => {
    const [streamId, fields] = Array.isArray(entry) ? entry : [];
    const [, sequence, , text] = texts(fields);
    return { streamId: String(streamId), sequence: Number(sequence), text: text ?? "" };
  });
}
