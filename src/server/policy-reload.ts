import type { Policy } from "../core/policy/policy.ts";
import type { ActivePolicy } from "../policy/active-policy.ts";
import { deprecatedInPolicy, FAULTS } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics/metrics.ts";
import type { LegacyServices } from "./legacy.ts";
import type { Shutdown } from "./shutdown.ts";

export interface ReloadDeps {
  readonly policy: ActivePolicy;
  readonly log: Log;
  readonly closing: Shutdown;
}

/** The phase of V1 keys after each change of the policy: as it is stored, or as the policy has it. */
export function followMigrationPhase({ policy, log }: ReloadDeps, legacy: LegacyServices): void {
  policy.onReload((reload) => {
    if (reload.kind === "taken") followPhase(legacy, reload.policy, log);
  });
}

/** The stored phase goes on to hold where the policy's cannot be stored. */
export function followPhase(legacy: LegacyServices, policy: Policy, log: Log): void {
  legacy.followPolicy(policy).catch((error: unknown) => log.warn({ err: error }, FAULTS.phaseNotTaken));
}

/** A changed file is taken up while Checks go on; a bad one is refused and said, and the old policy stays. */
export function watchPolicy({ policy, log, closing }: ReloadDeps, metrics: Metrics): void {
  const warnOfOldNames = ({ deprecations }: Policy) => {
    for (const deprecation of deprecations) log.warn({}, deprecatedInPolicy(deprecation));
  };
  metrics.policyInForce(policy.current());
  warnOfOldNames(policy.current());
  policy.onReload((reload) => {
    metrics.policyReload(reload.kind);
    if (reload.kind === "taken") {
      metrics.policyInForce(reload.policy);
      log.info({ policy: reload.policy.hash }, "a new policy is in force");
      warnOfOldNames(reload.policy);
    } else {
      log.error({ problems: reload.problems }, FAULTS.policyRefused);
    }
  });
  policy.watch();
  closing.defer("the watch on the policy", policy.close);
}
