import { getHeapStatistics } from "node:v8";
import { usableMemory } from "../config/usable-memory.ts";

/** What a process may use, in bytes. */
export interface CacheMemory {
  /** Of the container, or of the machine. */
  readonly total: number;
  /** Of the heap of JavaScript. */
  readonly heap: number;
}

/** A token takes 600 bytes, so a full cache takes less than an eighth of the memory, and less than a third of the heap. */
const BYTES_PER_TOKEN = { total: 5000, heap: 2000 };
const LEAST = 10_000;
const MOST = 1_000_000;

/**
 * Verified tokens in the cache: 100,000 in a container of 512 MiB, and 1,000,000 from 5 GB.
 * @param workers the processes that share the memory
 */
export function tokenCacheSize(workers: number, memory = cacheMemory()): number {
  const total = memory.total / workers;
  const tokens = Math.min(total / BYTES_PER_TOKEN.total, memory.heap / BYTES_PER_TOKEN.heap);
  return Math.min(MOST, Math.max(LEAST, Math.floor(tokens)));
}

/** Verified tokens in the cache of each issuer: half as many as our own tokens, and of all issuers together as many. */
export function issuerCacheSize(ownTokens: number, issuers: number): number {
  return Math.ceil(ownTokens / Math.max(2, issuers));
}

function cacheMemory(): CacheMemory {
  return { total: usableMemory(), heap: getHeapStatistics().heap_size_limit };
}
