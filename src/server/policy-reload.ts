import type { Policy } from "../core/policy/policy.ts";
import type { ActivePolicy } from "../policy/active-policy.ts";
import { deprecatedInPolicy, FAULTS, uselessInPolicy } from "../telemetry/fault-messages.ts";
import type { Runtime } from "./runtime.ts";

/** Loads a changed policy while Checks are decided. An invalid one is rejected and logged, and the old policy stays. */
export function watchPolicy(
  { log, shutdown, metrics }: Pick<Runtime, "log" | "shutdown" | "metrics">,
  policy: ActivePolicy,
): void {
  const warnOfEntries = ({ deprecations, warnings }: Policy) => {
    for (const deprecation of deprecations) log.warn({}, deprecatedInPolicy(deprecation));
    for (const warning of warnings) log.warn({}, uselessInPolicy(warning));
  };
  metrics.policyInForce(policy.current());
  warnOfEntries(policy.current());
  policy.onReload((reload) => {
    metrics.policyReload(reload.kind);
    if (reload.kind === "taken") {
      metrics.policyInForce(policy.current());
      log.info({ policy: policy.current().hash }, "a new policy is in force");
      warnOfEntries(policy.current());
    } else {
      log.error({ problems: reload.problems }, FAULTS.policyRejected);
    }
  });
  policy.watch();
  shutdown.defer("the watch on the policy", policy.close);
}
