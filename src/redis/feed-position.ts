import { setImmediate as nextTurn } from "node:timers/promises";
import { KEEP_CLEARED_SECONDS } from "../core/overrides/override.ts";
import type { InstanceView, StoredEntry } from "../core/revocation/instance-view.ts";
import { createInstanceView } from "../core/revocation/instance-view.ts";
import { inSteps } from "../core/revocation/revocation-view.ts";
import type { RedisClient } from "./client.ts";
import { RedisUnavailable } from "./redis-error.ts";
import { createReplicatedUntil } from "./replicated-until.ts";
import { texts } from "./replies.ts";
import { scriptText } from "./script-text.ts";
import type { ServerState } from "./server-state.ts";
import { snapshot } from "./snapshot.ts";
import { createWriteBack } from "./write-back.ts";

const KEEP_CLEARED_MS = KEEP_CLEARED_SECONDS * 1000;
const HEAD_SCRIPT = scriptText("head");

export interface FeedPositionOptions {
  /** A separate connection, because reads block: its command timeout is longer than `blockMs`. All reads use it, so that they are from one server. */
  readonly reading: RedisClient;
  readonly view: InstanceView;
  /** Called when entries may have been missed, so that cached data of entries must be reloaded. A rejection is retried. */
  readonly onGap: () => Promise<void>;
  /** Whether lost entries may be written back to the store. Absent: always. */
  readonly mayWriteBack?: () => boolean;
  /** Called when the store has lost data, or may have. */
  readonly onDataLoss: () => void;
  readonly lostWrites?: LostWriteWatcher;
}

/** What follows whether the store may have lost more than revocations. */
export interface LostWriteWatcher {
  /** The store may have lost writes. Revocations are not written back yet. */
  onSuspicion(): void;
  /** The store has all revocations that this instance knows. */
  onWrittenBack(): void;
  /** All writes before this monotonic time are on a replica. */
  onReplicated(untilMs: number): void;
}

/** The position of an instance in the feed. */
export interface FeedPosition {
  /** Empty before the store's first write. */
  readonly epoch: string;
  /** Differs for another server, and after a restart of the same server. */
  readonly replicationId: string;
  /** The store's clock in milliseconds at the last read. */
  storeMs: number;
  sequence: number;
  streamId: string;
}

/** A position compared with the store. */
export interface Comparison {
  readonly isCurrent: boolean;
  /** The store's sequence number. */
  readonly sequence: number;
  readonly state: ServerState;
}

export interface FeedPositions {
  /**
   * The position to continue from: the known one if nothing is missing, otherwise the head after a snapshot. The head is read
   * before the snapshot, so that no entry between the two is lost. If the store no longer keeps what was cleared since the
   * known position, the known overrides are discarded.
   */
  find(known: FeedPosition | undefined, reason?: "gap"): Promise<FeedPosition>;
  /**
   * Compares a position with the store. It is not current after a loss of data, on another server, or if the store may no longer
   * keep what was cleared since then. Rejects if the server's replies cannot be trusted; then earlier reads cannot be trusted either.
   */
  compare(position: FeedPosition): Promise<Comparison>;
  /** Called if the store may lack entries. The next {@link writeBackMissing} compares all of them. */
  requestWriteBack(): void;
  /** Call after a read that follows the known position, because nothing was lost before it. */
  onIntact(state: ServerState, sentMs: number): void;
  /** Writes the missing entries back after a request. If the store takes no writes, the next call tries again. */
  writeBackMissing(): Promise<void>;
}

export function createFeedPositions(options: FeedPositionOptions): FeedPositions {
  const { reading: client, view } = options;
  const writeBack = createWriteBack(client);
  let writeBackPending = false;
  const requestWriteBack = () => {
    writeBackPending = true;
    options.lostWrites?.onSuspicion();
  };
  const replicatedUntil = createReplicatedUntil();
  const headNow = createHeadReader(client);
  const applySnapshot = async () => {
    for await (const portion of snapshot(client)) view.apply(portion);
  };
  return {
    compare: (position) => compareWithStore(client, position),
    onIntact(state, sentMs) {
      const untilMs = replicatedUntil(state, sentMs);
      if (!writeBackPending) options.lostWrites?.onReplicated(untilMs);
    },
    requestWriteBack,
    async find(known, reason) {
      const head = await headNow();
      const discards = known !== undefined && mayMissCleared(known, head.storeMs);
      if (known !== undefined && reason === undefined && !discards && follows(head, known)) return known;
      if (known !== undefined && !follows(head, known)) options.onDataLoss();
      if (discards) view.discardOverrides();
      await applySnapshot();
      await options.onGap();
      if (known !== undefined) requestWriteBack();
      return head;
    },
    async writeBackMissing() {
      if (!writeBackPending || options.mayWriteBack?.() === false) return;
      // A request that comes during the work starts it once more.
      writeBackPending = false;
      try {
        await writeBack(await findMissing(options));
        options.lostWrites?.onWrittenBack();
      } catch (error) {
        writeBackPending = true;
        // Redis replies but takes no writes. The view still applies here, and reading continues.
        if (!(error instanceof RedisUnavailable && error.kind === "reply")) throw error;
      }
    },
  };
}

/** Reads the position of the newest entry. */
function createHeadReader(client: RedisClient): () => Promise<FeedPosition> {
  const runHead = client.script(HEAD_SCRIPT, "head");
  return async () => {
    const reply = await runHead([client.keys.epoch, client.keys.feedSequence, client.keys.feed], []);
    const [epoch, sequence, streamId, storeMs]: readonly unknown[] = Array.isArray(reply) ? reply : [];
    return {
      epoch: String(epoch),
      storeMs: Number(storeMs),
      replicationId: (await client.serverState()).replicationId,
      sequence: Number(sequence),
      streamId: String(streamId),
    };
  };
}

async function compareWithStore(client: RedisClient, position: FeedPosition): Promise<Comparison> {
  const [head, time, state] = await Promise.all([
    client.command("MGET", client.keys.epoch, client.keys.feedSequence),
    client.command("TIME"),
    client.serverState(),
  ]);
  const [epoch, storedSequence]: readonly unknown[] = Array.isArray(head) ? head : [];
  const sequence = Number(storedSequence ?? 0);
  const storeMs = Number(texts(time)[0]) * 1000;
  const sameHistory = (epoch ?? "") === position.epoch && state.replicationId === position.replicationId;
  const isCurrent = sameHistory && sequence >= position.sequence && !mayMissCleared(position, storeMs);
  if (isCurrent) position.storeMs = storeMs;
  return { isCurrent, sequence, state };
}

/** Whether the store may no longer keep what was cleared since the position was read. */
function mayMissCleared(position: FeedPosition, storeMs: number): boolean {
  return storeMs - position.storeMs > KEEP_CLEARED_MS;
}

/** The entries of the view that the store lacks. */
async function findMissing({ reading, view }: FeedPositionOptions): Promise<readonly StoredEntry[]> {
  const stored = createInstanceView();
  for await (const portion of snapshot(reading)) {
    stored.apply(portion);
    view.apply(portion);
  }
  const missingFromStore: StoredEntry[] = [];
  await inSteps(view.entries(), nextTurn, (entry) => {
    if (!stored.includes(entry)) missingFromStore.push(entry);
  });
  return missingFromStore;
}

/** Whether the store has continued from the known position. Two histories can have equal counts, so the server must be the same. */
function follows(head: FeedPosition, known: FeedPosition): boolean {
  return (
    (head.epoch === known.epoch || known.epoch === "") &&
    head.replicationId === known.replicationId &&
    head.sequence >= known.sequence
  );
}
