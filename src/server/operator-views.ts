import type { DescribedSetting } from "../config/described-settings.ts";
import type { AuthorizePorts } from "../core/decision/request-context.ts";
import type { ActivePolicy } from "../policy/active-policy.ts";
import type { ApiDeps } from "./api-endpoints.ts";
import { createExplainHandler } from "./check-handler.ts";
import { createReports } from "./figures.ts";
import { createPolicyTrial } from "./policy-trial/trial.ts";
import type { Stores } from "./ports.ts";
import type { Runtime } from "./runtime.ts";
import { createSigningStatus } from "./signing-status.ts";
import type { StatusDeps } from "./status.ts";

export interface OperatorViewDeps extends StatusDeps {
  readonly stores: Stores;
  readonly ports: AuthorizePorts;
  readonly policy: ActivePolicy;
  readonly describedSettings: readonly DescribedSetting[];
}

type OperatorViews = Pick<
  ApiDeps,
  "readStatus" | "figureStreams" | "readSigningKeys" | "explain" | "describedSettings" | "policyTrial"
>;

/** What operators may look at. None of it changes anything. */
export function createOperatorViews(
  runtime: Pick<Runtime, "settings" | "clock" | "metrics">,
  deps: OperatorViewDeps,
): OperatorViews {
  const { AUDIT_FILE } = runtime.settings;
  return {
    ...createReports(runtime, deps),
    readSigningKeys: createSigningStatus(runtime, { ...deps, policy: deps.policy.current }),
    explain: createExplainHandler(runtime, deps.ports, deps.stores),
    describedSettings: deps.describedSettings,
    policyTrial: createPolicyTrial({
      source: deps.policy.candidate(""),
      auditFile: AUDIT_FILE === "off" ? undefined : AUDIT_FILE,
    }),
  };
}
