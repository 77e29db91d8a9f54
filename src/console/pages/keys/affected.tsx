import { useCallback } from "preact/hooks";
import type { KeyTotals } from "../../../client/key-totals.ts";
import type { CountedKeys } from "../../../client/types.ts";
import { useClient } from "../../data/context.ts";
import { formatPlural } from "../../data/format.ts";
import type { CallState } from "../../data/use-call.ts";
import { useCall } from "../../data/use-call.ts";
import { ErrorState, Loading } from "../../parts/states.tsx";
import { Time } from "../../parts/time.tsx";

/** Counts the keys of an owner or of a family. */
export function useTotals(of: Pick<CountedKeys, "owner" | "family">): CallState<KeyTotals> {
  const client = useClient();
  const { owner, family } = of;
  return useCall(
    useCallback(
      () =>
        client.keys.total({ ...(owner !== undefined && { owner }), ...(family !== undefined && { family }) }),
      [client, owner, family],
    ),
  );
}

/** What a revocation of all these keys affects. Without the count, the person can still revoke. */
export function Affected({ totals }: { readonly totals: CallState<KeyTotals> }) {
  const { value, problem, reload } = totals;
  if (value === undefined)
    return problem === undefined ? (
      <Loading what="what this affects" />
    ) : (
      <ErrorState problem={problem} onRetry={reload} />
    );
  const { live, keys, by_status: byStatus, last_used_at: lastUse } = value;
  return (
    <p class="affected">
      <strong>{formatPlural(live, "live key")}</strong>
      {keys > live && ` of ${formatPlural(keys, "key")}`}
      {byStatus.disabled > 0 && `, ${formatPlural(byStatus.disabled, "disabled key")}`}, last used{" "}
      <Time at={lastUse} />.
    </p>
  );
}
