import type { Settings } from "../config/settings.ts";
import type { Clock, ClockName } from "../core/clock.ts";
import { createClock } from "../core/clock.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics/metrics.ts";
import { createMetrics } from "../telemetry/metrics/metrics.ts";
import type { Output } from "../telemetry/output.ts";
import type { Shutdown } from "./shutdown.ts";

/** What every module of a running instance works with. */
export interface Runtime {
  readonly settings: Settings;
  readonly log: Log;
  readonly shutdown: Shutdown;
  readonly metrics: Metrics;
  readonly clock: Clock;
}

export interface RuntimeOptions extends Pick<Runtime, "settings" | "log" | "shutdown"> {
  readonly version: string;
  readonly output: Pick<Output, "dropped">;
}

/** Metrics and clock come first: every other module reports to them. */
export function createRuntime({ settings, log, shutdown, version, output }: RuntimeOptions): Runtime {
  const metrics = createMetrics({ version, outputDropped: output.dropped, nowMs: Date.now });
  const clock = createInstanceClock(settings, log, metrics.clockJumped);
  return { settings, log, shutdown, metrics, clock };
}

/** The clock of this process. Logs jumps. */
export function createInstanceClock(
  { STORE }: Pick<Settings, "STORE">,
  log: Pick<Log, "warn">,
  onJump: (clock: ClockName) => void = () => undefined,
): Clock {
  return createClock({
    shared: STORE === "redis",
    wallMs: Date.now,
    monotonicMs: () => performance.now(),
    onJump(clock, byMs) {
      onJump(clock);
      log.warn({ clock, bySeconds: Math.round(byMs / 1000) }, FAULTS.clockJumped);
    },
  });
}
