import type { BucketLimit, BucketState } from "./token-bucket.ts";
import { fullBucket, MICRO, refillBucket } from "./token-bucket.ts";

/** A budget in memory. Each call takes one token of a bucket that is full at first, and returns whether there was one. */
export function createBudget(limit: BucketLimit, monotonicMs: () => number): () => boolean {
  let bucket: BucketState = fullBucket(limit, monotonicMs());
  return () => {
    bucket = refillBucket(bucket, limit, monotonicMs());
    if (bucket.levelMicro < MICRO) return false;
    bucket = { ...bucket, levelMicro: bucket.levelMicro - MICRO };
    return true;
  };
}
