import { totalmem } from "node:os";

const BYTES_PER_MIB = 2 ** 20;
/** With less, a thread cannot start reliably. */
const LEAST_MIB = 32;

/** Bytes of memory that this process may use: those of its container, or of the machine. */
export function usableMemory(): number {
  // 0 or an immense number without a limit.
  const limit = process.constrainedMemory();
  return limit > 0 ? Math.min(limit, totalmem()) : totalmem();
}

/**
 * What a worker thread may use in MiB: a quarter of the memory, so that a hostile or broken file that it reads does not end the
 * process.
 * @param most MiB, enough for the largest valid work
 */
export function threadMemoryMib(most: number, memory = usableMemory()): number {
  return Math.max(LEAST_MIB, Math.min(most, Math.floor(memory / 4 / BYTES_PER_MIB)));
}
