import type { Settings } from "../config/settings.ts";
import type { Clock, ClockName } from "../core/clock.ts";
import { createClock } from "../core/clock.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";

/** The clock of this process; a jump is said in the log. */
export function createInstanceClock(
  { STORE }: Pick<Settings, "STORE">,
  log: Pick<Log, "warn">,
  jumped: (clock: ClockName) => void = () => undefined,
): Clock {
  return createClock({
    shared: STORE === "redis",
    wallMs: Date.now,
    monotonicMs: () => performance.now(),
    onJump(clock, byMs) {
      jumped(clock);
      log.warn({ clock, bySeconds: Math.round(byMs / 1000) }, FAULTS.clockJumped);
    },
  });
}
