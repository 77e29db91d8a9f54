import type { FeedEntry } from "../core/revocation/feed-entry.ts";
import { decodeFeedEntry } from "../core/revocation/feed-entry.ts";
import type { RevocationView } from "../core/revocation/revocation-view.ts";
import type { RedisClient } from "./client.ts";
import type { FeedPosition } from "./feed-position.ts";
import { createFeedPositions } from "./feed-position.ts";
import { redisKeys } from "./names.ts";
import { RedisUnavailable } from "./redis-error.ts";
import { texts } from "./replies.ts";

const READ_COUNT = 1000;

export interface FeedOptions {
  /** A connection of its own, for it waits: its command deadline is longer than `blockMs`. All goes by it, so that all is of one server. */
  readonly reading: RedisClient;
  readonly view: RevocationView;
  /** Milliseconds after which an idle stream answers, so that silence is never taken for an idle stream. */
  readonly blockMs: number;
  readonly monotonicMs: () => number;
  /** Hears of entries that end no key. */
  readonly onEntry: (entry: OtherEntry) => void;
  /** Something may not have been heard: whoever keeps what entries tell reads it anew. A rejection is tried again. */
  readonly onGap: () => Promise<void>;
  /** Whether what the store has lost may be written back to it; absent: it may. */
  readonly mayWriteBack?: () => boolean;
  /** Hears that the store has lost what it knew, or may have lost a part of it. */
  readonly onDataLoss: () => void;
}

type OtherEntry = Exclude<FeedEntry, { kind: "key" | "family" | "cutoff" }>;

/** What one instance hears of all others. */
export interface RevocationFeed {
  /** Reads once, for up to `blockMs` while there is nothing; rejects when Redis does not answer. The first read loads a snapshot, and waits for nothing. */
  read(): Promise<void>;
  /** The store may have lost a part of what is known here: the next read looks at all of it, and writes back what it lacks. */
  suspectLoss(): void;
  /** Milliseconds since the last answered read was sent; infinite before the first. */
  stalenessMs(): number;
}

/**
 * Reads the stream entry by entry. Entries are numbered without gaps: a gap (the stream was trimmed), a step back,
 * another epoch or another server mean a snapshot. It is only ever added to what is known: no store that has lost
 * writes, in whatever way, brings a key back, and what it lacks is written back to it.
 */
export function createRevocationFeed(options: FeedOptions): RevocationFeed {
  const { reading, monotonicMs } = options;
  const positions = createFeedPositions(options);
  let at: FeedPosition | undefined;
  let lastReadSentMs = Number.NEGATIVE_INFINITY;
  /** The connection by which the position is known: on another one the server may be another one. */
  let by: number | undefined;

  const readFrom = async (position: FeedPosition, waits: boolean) => {
    const block = waits ? ["BLOCK", options.blockMs] : [];
    const from = ["STREAMS", redisKeys.feed, position.streamId];
    return entriesOf(await reading.command("XREAD", "COUNT", READ_COUNT, ...block, ...from));
  };
  const readOn = async (position: FeedPosition, waits: boolean): Promise<FeedPosition> => {
    const entries = await readFrom(position, waits);
    const contiguous = applyEntries(position, entries, options);
    const [head, replicationId] = await Promise.all([
      reading.command("MGET", redisKeys.epoch, redisKeys.feedSequence),
      positions.replicationId(),
    ]);
    const [epoch, told]: readonly unknown[] = Array.isArray(head) ? head : [];
    const sequence = Number(told ?? 0);
    const sameHistory = (epoch ?? "") === position.epoch && replicationId === position.replicationId;
    if (!contiguous || !sameHistory || sequence < position.sequence) return positions.find(position, "gap");
    if (entries.length > 0 || sequence === position.sequence) return position;
    // Something was told between the read and the look at the number; what cannot be read now either is gone.
    const late = await readFrom(position, false);
    if (late.length > 0 && applyEntries(position, late, options)) return position;
    return positions.find(position, "gap");
  };

  return {
    suspectLoss: positions.owe,
    stalenessMs: () => monotonicMs() - lastReadSentMs,
    async read() {
      const sentMs = monotonicMs();
      const connection = reading.connections();
      try {
        const known = by === connection ? at : undefined;
        const position = known ?? (await positions.find(at));
        by = undefined;
        // Right after a snapshot there is nothing to wait for: a start does not.
        at = await readOn(position, known !== undefined);
        if (reading.connections() === connection) by = connection;
        lastReadSentMs = sentMs;
        await positions.settle();
      } catch (error) {
        // Whatever this connection leads to, it does not answer: a new one may.
        if (error instanceof RedisUnavailable && error.kind === "timeout") reading.reconnect();
        throw error;
      }
    },
  };
}

interface StreamEntry {
  readonly streamId: string;
  readonly sequence: number;
  readonly text: string;
}

/** Takes in what follows the position, which moves along; false at a gap. */
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
      if (entry.kind === "key" || entry.kind === "family" || entry.kind === "cutoff") view.apply([entry]);
      else onEntry(entry);
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
  if (!Array.isArray(entries)) throw new Error("XREAD answered something else");
  return entries.map((entry) => {
    const [streamId, fields] = Array.isArray(entry) ? entry : [];
    const [, sequence, , text] = texts(fields);
    return { streamId: String(streamId), sequence: Number(sequence), text: text ?? "" };
  });
}
