import { readdirSync, readlinkSync } from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { readMetrics } from "../support/metrics.ts";
import type { SoakKeys } from "./keys.ts";
import type { Soaked } from "./soaked.ts";
import type { Tally } from "./traffic.ts";

const MB = 1_000_000;
/** Longer than a file or a connection is open that belongs to one task in the background. */
const SETTLES_MS = 500;

/** What the process of a soak holds. */
export interface Level {
  readonly fds: number;
  /** Those of them that are sockets. */
  readonly sockets: number;
  /** Open connections of Envoy. */
  readonly grpc_connections: number;
  readonly handles: number;
}

/** One row of the file of figures. Counts are totals since the start of the soak. */
export interface Figures extends Level {
  readonly seconds: number;
  readonly restarts: number;
  /** Live memory: after a garbage collection, with what buffers hold outside the heap. */
  readonly live_mb: number;
  readonly resident_mb: number;
  readonly loop_delay_p99_ms: number;
  readonly allowed: number;
  readonly denied: number;
  readonly unavailable: number;
  readonly issued_keys: number;
  readonly steps: number;
}

export const COLUMNS = [
  ...["seconds", "restarts", "live_mb", "resident_mb", "fds", "sockets", "grpc_connections", "handles"],
  ...["loop_delay_p99_ms", "allowed", "denied", "unavailable", "issued_keys", "steps"],
] as const satisfies readonly (keyof Figures)[];

/** What the figures are read from. */
export interface Measured {
  readonly soaked: Soaked;
  readonly keys: Pick<SoakKeys, "issued">;
  readonly tally: Pick<Tally, "verdicts">;
  readonly schedule: readonly string[];
}

/** Without the connections of our own clients but one. Resolves once the level is the same twice. */
export async function levelAtRest(soaked: Soaked): Promise<Level> {
  soaked.disconnect();
  let before = await levelOf(soaked);
  for (;;) {
    await pause(SETTLES_MS);
    const now = await levelOf(soaked);
    if (isDeepStrictEqual(now, before)) return now;
    before = now;
  }
}

async function levelOf(soaked: Soaked): Promise<Level> {
  const folder = `/proc/${soaked.pid()}/fd`;
  const targets = readdirSync(folder).map((fd) => targetOf(`${folder}/${fd}`));
  return {
    fds: targets.length,
    sockets: targets.filter((target) => target.startsWith("socket:")).length,
    grpc_connections: await soaked.front.connections(),
    handles: (await readMetrics(soaked.ops)).get("nodejs_active_handles_total") ?? 0,
  };
}

function targetOf(link: string): string {
  try {
    return readlinkSync(link);
  } catch {
    // Closed meanwhile.
    return "";
  }
}

/** Returns a function that reads the figures of the process as it is now. */
export function createFigures({ soaked, keys, tally, schedule }: Measured): () => Promise<Figures> {
  const sinceMs = performance.now();
  return async () => {
    // The delay of the event loop since the last scrape, without the collection that follows.
    const before = await readMetrics(soaked.ops);
    process.kill(soaked.pid(), "SIGUSR2");
    // A signal and a request may arrive in the same turn.
    const after = [await readMetrics(soaked.ops), await readMetrics(soaked.ops)];
    const live = after.map((metrics) => (metrics.get(HEAP) ?? 0) + (metrics.get(EXTERNAL) ?? 0));
    return {
      seconds: Math.round((performance.now() - sinceMs) / 1000),
      restarts: soaked.restarts(),
      live_mb: rounded(Math.min(...live) / MB),
      resident_mb: rounded((after[1]?.get("process_resident_memory_bytes") ?? 0) / MB),
      loop_delay_p99_ms: rounded(1000 * (before.get("nodejs_eventloop_lag_p99_seconds") ?? 0)),
      ...(await levelOf(soaked)),
      ...tally.verdicts,
      issued_keys: keys.issued,
      steps: schedule.length,
    };
  };
}

const [HEAP, EXTERNAL] = ["nodejs_heap_size_used_bytes", "nodejs_external_memory_bytes"];

const rounded = (value: number): number => Math.round(value * 10) / 10;
