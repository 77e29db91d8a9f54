import { readFileSync } from "node:fs";
import { snapshot } from "./key-store.ts";
import { names } from "./names.ts";
import type { FeedOptions } from "./revocation-feed.ts";
import { createWriteBack } from "./write-back.ts";

const HEAD_SCRIPT = readFileSync(new URL("./head.lua", import.meta.url), "utf8");

/** Where an instance stands in the feed. */
export interface FeedPosition {
  readonly epoch: string;
  /** Another one when the server is another one, or the same one started anew. */
  readonly replicationId: string;
  sequence: number;
  streamId: string;
}

export interface FeedPositions {
  /**
   * Where to read on: where it was when nothing is lost, else the head, with a snapshot taken in. The head is noted
   * before the snapshot: the other order would lose what falls between.
   */
  find(known: FeedPosition | undefined, why?: "gap"): Promise<FeedPosition>;
}

export function createFeedPositions(options: FeedOptions): FeedPositions {
  const { reading: client, view, nowMs } = options;
  const runHead = client.script(HEAD_SCRIPT);
  const writeBack = createWriteBack(client);
  const load = () => snapshot(client, Math.floor(nowMs() / 1000));

  const headNow = async (): Promise<FeedPosition> => {
    const reply = await runHead([names.epoch, names.feedSequence, names.feed], [options.newRandom()]);
    const [epoch, sequence, streamId]: readonly unknown[] = Array.isArray(reply) ? reply : [];
    const info = String(await client.command("INFO", "replication"));
    const replicationId = /^master_replid:(\w+)/m.exec(info)?.[1] ?? "";
    return { epoch: String(epoch), replicationId, sequence: Number(sequence), streamId: String(streamId) };
  };

  return {
    async find(known, why) {
      const head = await headNow();
      if (known === undefined) {
        for await (const portion of load()) view.apply(portion, head.sequence);
        return head;
      }
      const sameStore = head.epoch === known.epoch && head.replicationId === known.replicationId;
      if (sameStore && head.sequence >= known.sequence) {
        if (why === undefined) return known;
        await view.replace(load(), head.sequence);
        return head;
      }
      // Writes may be lost. A fresh snapshot of a store that forgot must never bring a key back: it is only added.
      options.lost();
      for await (const portion of load()) view.apply(portion, head.sequence);
      view.sweep(nowMs());
      await writeBack(view);
      view.restamp(head.sequence);
      return head;
    },
  };
}
