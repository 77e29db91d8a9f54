import type { PageProps } from "../../page.ts";
import { NearLimits } from "./near-limits.tsx";
import { Overrides } from "./overrides.tsx";
import { Plans } from "./plans.tsx";
import { TopUsage } from "./top-usage.tsx";

/** Plans, overrides, the largest usage, and the quotas near their end. */
export function Budgets({ route: { query } }: PageProps) {
  return (
    <>
      <h1>Budgets</h1>
      <NearLimits />
      <Overrides plan={query.get("plan") ?? ""} subject={query.get("subject") ?? ""} />
      <TopUsage />
      <Plans />
    </>
  );
}
