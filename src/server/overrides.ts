import { setImmediate as nextTurn } from "node:timers/promises";
import { countOverrides } from "../core/overrides/count-overrides.ts";
import type { InstanceView } from "../core/revocation/instance-view.ts";
import type { ActivePolicy } from "../policy/active-policy.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import { logTransitions, watchChanges } from "../telemetry/outage-log.ts";
import { backgroundWorkFails } from "../telemetry/outage-messages.ts";
import { repeat } from "./repeat.ts";
import type { Runtime } from "./runtime.ts";

const COUNT_EVERY_MS = 15_000;
/** The log line names no more. */
const MAX_NAMES = 20;

export interface OverrideWatchDeps {
  readonly view: Pick<InstanceView, "overrides">;
  readonly policy: ActivePolicy;
}

/** Counts the overrides for the metrics, now, regularly and after each reload. Logs names that the policy does not have, once. */
export function watchOverrides(
  { log, shutdown, clock, metrics }: Pick<Runtime, "log" | "shutdown" | "clock" | "metrics">,
  { view, policy }: OverrideWatchDeps,
): void {
  const onUnknown = watchChanges("", (names) => {
    if (names !== "") log.warn({ names }, FAULTS.overridesUnknown);
  });
  const count = async () => {
    const found = await countOverrides(view.overrides, policy.current(), clock.nowMs(), nextTurn);
    metrics.keys.overridesCounted(found);
    onUnknown(found.unknownNames.slice(0, MAX_NAMES).join(" "));
  };
  const [work, onFailure] = logTransitions(count, log, backgroundWorkFails("counting overrides"));
  const countNow = () => void work().catch(onFailure);
  countNow();
  policy.onReload(countNow);
  shutdown.defer("the count of overrides", repeat(COUNT_EVERY_MS, work, onFailure));
}
