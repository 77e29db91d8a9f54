import { readFileSync } from "node:fs";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { Ending } from "../core/revocation/revocation.ts";
import { createRevocationView, inSteps } from "../core/revocation/revocation-view.ts";
import { snapshot } from "./key-store.ts";
import { redisKeys } from "./names.ts";
import { RedisUnavailable } from "./redis-error.ts";
import type { FeedOptions } from "./revocation-feed.ts";
import { createWriteBack } from "./write-back.ts";

const HEAD_SCRIPT = readFileSync(new URL("./scripts/head.lua", import.meta.url), "utf8");

/** Where an instance stands in the feed. */
export interface FeedPosition {
  /** Empty before the store's first write. */
  readonly epoch: string;
  /** Another one when the server is another one, or the same one started anew. */
  readonly replicationId: string;
  sequence: number;
  streamId: string;
}

export interface FeedPositions {
  /**
   * Where to read on: where it was when nothing is missing, else the head, with a snapshot taken in. The head is noted
   * before the snapshot: the other order would lose what falls between.
   */
  find(known: FeedPosition | undefined, why?: "gap"): Promise<FeedPosition>;
  /** The store may lack what is known here: the next settling looks at all of it. */
  owe(): void;
  /** The server's name in the history of replication. Rejects where its answers do not count: what was read from it does not either. */
  replicationId(): Promise<string>;
  /** Writes back what the store lacks. A store that takes no writes is asked again next time. */
  settle(): Promise<void>;
}

export function createFeedPositions(options: FeedOptions): FeedPositions {
  const { reading: client, view } = options;
  const runHead = client.script(HEAD_SCRIPT, "head");
  const writeBack = createWriteBack(client);
  let writeBackPending = false;

  const replicationId = async () => (await client.serverState()).replicationId;
  const headNow = async (): Promise<FeedPosition> => {
    const reply = await runHead([redisKeys.epoch, redisKeys.feedSequence, redisKeys.feed], []);
    const [epoch, sequence, streamId]: readonly unknown[] = Array.isArray(reply) ? reply : [];
    return {
      epoch: String(epoch),
      replicationId: await replicationId(),
      sequence: Number(sequence),
      streamId: String(streamId),
    };
  };
  const takeSnapshot = async () => {
    for await (const portion of snapshot(client)) view.apply(portion);
  };
  return {
    replicationId,
    owe() {
      writeBackPending = true;
    },
    async find(known, why) {
      const head = await headNow();
      if (known !== undefined && why === undefined && follows(head, known)) return known;
      if (known !== undefined && !follows(head, known)) options.onDataLoss();
      await takeSnapshot();
      await options.onGap();
      writeBackPending ||= known !== undefined;
      return head;
    },
    async settle() {
      if (!writeBackPending || options.mayWriteBack?.() === false) return;
      try {
        await writeBack(await lackingIn(options));
        writeBackPending = false;
      } catch (error) {
        // It answers, and does not take it: what is known here goes on to count, and reading goes on.
        if (!(error instanceof RedisUnavailable && error.kind === "reply")) throw error;
      }
    },
  };
}

/** What a fresh view of the store alone would not know. */
async function lackingIn({ reading, view }: FeedOptions): Promise<readonly Ending[]> {
  const stored = createRevocationView();
  for await (const portion of snapshot(reading)) {
    stored.apply(portion);
    view.apply(portion);
  }
  const missingFromStore: Ending[] = [];
  await inSteps(view.entries(), nextTurn, (entry) => {
    if (!stored.includes(entry)) missingFromStore.push(entry);
  });
  return missingFromStore;
}

/** Whether the store has gone on from there. Two pasts may have equal counts: another server is another past. */
function follows(head: FeedPosition, known: FeedPosition): boolean {
  return (
    (head.epoch === known.epoch || known.epoch === "") &&
    head.replicationId === known.replicationId &&
    head.sequence >= known.sequence
  );
}
