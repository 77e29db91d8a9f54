import type { Figures, Level } from "./figures.ts";

/** Of the rows: the caches and the compiled code fill first. */
const WARM_UP = 1 / 4;
/** Live memory may vary by this factor. */
const FACTOR = 1.1;
/** What caches, buckets and usage keep of a new key, rounded up. They hold 100,000 keys. */
const KEPT_MB_PER_KEY = 0.004;

/**
 * Why the live memory of one process was not flat; empty if it was. The least of the last third of the rows is compared with the
 * least of the first third after the warm-up. So single rows, as of a busy machine, have no effect.
 */
export function memoryGrowth(rows: readonly Pick<Figures, "live_mb" | "issued_keys">[]): readonly string[] {
  const warm = rows.slice(Math.floor(rows.length * WARM_UP));
  const third = Math.floor(warm.length / 3);
  if (third === 0) return [`${rows.length} rows are too few to compare`];
  const [first, last] = [least(warm.slice(0, third)), least(warm.slice(-third))];
  const keysMb = KEPT_MB_PER_KEY * (last.issued_keys - first.issued_keys);
  if (last.live_mb <= first.live_mb * FACTOR + keysMb) return [];
  return [`live memory grew from ${first.live_mb} MB to ${last.live_mb} MB`];
}

function least<Row extends Pick<Figures, "live_mb">>(rows: readonly Row[]): Row {
  return rows.reduce((lowest, row) => (row.live_mb < lowest.live_mb ? row : lowest));
}

/** What is more than at the start, without traffic; empty once nothing is. */
export function above(rest: Level, now: Level): readonly string[] {
  const names = ["fds", "sockets", "grpc_connections", "handles"] as const;
  return names
    .filter((name) => now[name] > rest[name])
    .map((name) => `${name}: ${rest[name]} at the start, ${now[name]} at the end`);
}
