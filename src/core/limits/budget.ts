import type { BucketLimit, BucketState } from "./token-bucket.ts";
import { fullBucket, MICRO, refillBucket } from "./token-bucket.ts";

/** Whether something may be done once more: a token bucket of one's own, full at first. */
export function createBudget(limit: BucketLimit, monotonicMs: () => number): () => boolean {
  let bucket: BucketState = fullBucket(limit, monotonicMs());
  return () => {
    bucket = refillBucket(bucket, limit, monotonicMs());
    if (bucket.levelMicro < MICRO) return false;
    bucket = { ...bucket, levelMicro: bucket.levelMicro - MICRO };
    return true;
  };
}
