import type { ActivePolicy } from "../policy/active-policy.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import type { Runtime } from "./runtime.ts";

/** Loads a changed policy while Checks are decided. An invalid one is rejected and logged, and the old policy stays. */
export function watchPolicy(
  { log, shutdown, metrics }: Pick<Runtime, "log" | "shutdown" | "metrics">,
  policy: ActivePolicy,
): void {
  metrics.policyInForce(policy.current());
  policy.onReload((reload) => {
    metrics.policyReload(reload.kind);
    if (reload.kind === "taken") {
      metrics.policyInForce(policy.current());
      log.info({ policy: policy.current().hash }, "a new policy is in force");
    } else {
      log.error({ problems: reload.problems }, FAULTS.policyRejected);
    }
  });
  policy.watch();
  shutdown.defer("the watch on the policy", policy.close);
}
