import type { Policy } from "../core/policy/policy.ts";
import type { PolicyInForce } from "../policy/active-policy.ts";
import { FAULTS } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics/metrics.ts";
import type { LegacyParts } from "./legacy.ts";
import type { Closing } from "./shutdown.ts";

export interface ReloadParts {
  readonly policy: PolicyInForce;
  readonly log: Log;
  readonly closing: Closing;
}

/** The phase of V1 keys after each change of the policy: as it is stored, or as the policy has it. */
export function followPhases({ policy, log }: ReloadParts, legacy: LegacyParts): void {
  policy.onReload((reload) => {
    if (reload.kind === "taken") followPhase(legacy, reload.policy, log);
  });
}

/** The stored phase goes on to hold where the policy's cannot be stored. */
export function followPhase(legacy: LegacyParts, policy: Policy, log: Log): void {
  legacy.followPolicy(policy).catch((error: unknown) => log.warn({ err: error }, FAULTS.phaseNotTaken));
}

/** A changed file is taken up while Checks go on; a bad one is refused and said, and the old policy stays. */
export function keepPolicyFresh({ policy, log, closing }: ReloadParts, metrics: Metrics): void {
  metrics.policyInForce(policy.current());
  policy.onReload((reload) => {
    metrics.policyReload(reload.kind);
    if (reload.kind === "taken") {
      metrics.policyInForce(reload.policy);
      log.info({ policy: reload.policy.hash }, "a new policy is in force");
    } else {
      log.error({ problems: reload.problems }, FAULTS.policyRefused);
    }
  });
  policy.watch();
  closing.later("the watch on the policy", policy.close);
}
