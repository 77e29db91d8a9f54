import type { ComponentChildren } from "preact";
import { useCallback } from "preact/hooks";
import { hasExtraUnits } from "../../../client/extra-units.ts";
import type { AppliedOverride, LimitOverride } from "../../../client/types.ts";
import { useClient } from "../../data/context.ts";
import { formatCount, formatPlural, formatTime } from "../../data/format.ts";
import { useCall } from "../../data/use-call.ts";
import { Badge } from "../../parts/badge.tsx";
import { Facts } from "../../parts/facts.tsx";
import { CallView } from "../../parts/states.tsx";
import { Time } from "../../parts/time.tsx";
import type { Subject } from "./subject.ts";
import { affectedKeys } from "./subject.ts";

type Quotas = AppliedOverride["quotas"] | LimitOverride["quotas"];
type ListedQuota = NonNullable<Quotas>[number];

function isOver(quota: ListedQuota): boolean {
  return "extra_until" in quota && !hasExtraUnits(quota, Date.now());
}

export function QuotaList({ quotas }: { readonly quotas: Quotas }) {
  return (
    <ul class="plain-list">
      {(quotas ?? []).map((quota) => (
        <li key={quota.name}>
          {quota.name}: <span class="number">{formatCount(quota.limit)}</span>
          {(quota.extra ?? 0) > 0 && (
            <span class="number">
              {" "}
              + {formatCount(quota.extra ?? 0)} once{isOver(quota) && ", in a window that is over"}
            </span>
          )}
        </li>
      ))}
    </ul>
  );
}

/** What an override gives. */
export function OverrideFacts({ override }: { readonly override: LimitOverride | AppliedOverride }) {
  const { plan, quotas, note, expires_at: expiresAt } = override;
  const rows: (readonly [string, ComponentChildren])[] = [
    ...(plan ? [["Plan", <code key="plan">{plan}</code>] as const] : []),
    ...(quotas ? [["Quotas", <QuotaList key="quotas" quotas={quotas} />] as const] : []),
    ...(note ? [["Note", note] as const] : []),
    ["Ends", expiresAt ? `${formatTime(Date.parse(expiresAt))} (${expiresAt})` : "when it is cleared"],
  ];
  return <Facts rows={rows} />;
}

/** Which live keys get other limits. */
export function Affected({ subject }: { readonly subject: Subject }) {
  const client = useClient();
  const { scope, name } = subject;
  const affected = useCall(useCallback(() => affectedKeys(client, { scope, name }), [client, scope, name]));
  return (
    <CallView call={affected} what="the keys of it">
      {({ keys, isMore, lastUsedAt }) => (
        <p>
          <Badge tone={keys > 0 ? "warn" : "neutral"}>
            {formatPlural(keys, "active key")}
            {isMore ? " or more" : ""}
          </Badge>{" "}
          {keys > 0 ? (
            <>
              {keys === 1 && !isMore ? "gets" : "get"} other limits at once; last used{" "}
              <Time at={lastUsedAt} />.
            </>
          ) : (
            <>It applies to keys that are registered later, and to tokens of other issuers.</>
          )}
        </p>
      )}
    </CallView>
  );
}

export function SubjectName({ subject: { scope, name } }: { readonly subject: Subject }) {
  return (
    <>
      <span class="muted">{scope}</span> <code>{name}</code>
    </>
  );
}
