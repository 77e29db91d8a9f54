import { useCallback, useEffect, useState } from "preact/hooks";
import { LatchkeyProblem } from "../../../client/problem.ts";
import type { AuditEvents, IssuedKey, Key } from "../../../client/types.ts";
import { useClient, useMissingScope } from "../../data/context.ts";
import type { CallState } from "../../data/use-call.ts";
import { useCall } from "../../data/use-call.ts";
import { CopyButton } from "../../parts/copy-button.tsx";
import { Facts } from "../../parts/facts.tsx";
import { CallView, Missing } from "../../parts/states.tsx";
import { Time } from "../../parts/time.tsx";
import { hrefOf } from "../../shell/route.ts";
import { Issued } from "./issued.tsx";
import { KeyActions } from "./key-actions.tsx";
import { KeyAudit } from "./key-audit.tsx";
import { KeyFamily } from "./key-family.tsx";
import { KeyLimits } from "./key-limits.tsx";
import { ClientText, keyHref, StatusBadge } from "./key-parts.tsx";
import { KeyUsage } from "./key-usage.tsx";
import { useAudit } from "./use-audit.ts";

const EVERY_MS = 15_000;

/** Everything about one key. */
export function KeyPage({ keyId }: { readonly keyId: string }) {
  const client = useClient();
  const key = useCall(
    useCallback(() => client.keys.show(keyId), [client, keyId]),
    EVERY_MS,
  );
  const { problem } = key;
  if (problem instanceof LatchkeyProblem && (problem.status === 404 || problem.reason === "request-invalid"))
    return <Missing what="key: its record may be over, or this is not the id of a key" />;
  return (
    <CallView call={key} what="the key">
      {(value) => <KeyView shown={value} onChange={key.reload} />}
    </CallView>
  );
}

function KeyView({ shown, onChange }: { readonly shown: Key; readonly onChange: () => void }) {
  const [issued, setIssued] = useState<IssuedKey | undefined>(undefined);
  const { key_id: keyId, family, name, status } = shown;
  useEffect(() => {
    document.title = `${name} · Latchkey`;
  }, [name]);
  // A change of the key changes its family and its audit events.
  const version = `${status} ${shown.superseded_by} ${shown.revoked_at}`;
  const audit = useAudit(family, version);
  return (
    <>
      <p class="crumbs">
        <a href={hrefOf(["keys"])}>Keys</a>
      </p>
      <div class="key-head">
        <h1>
          <ClientText>{name}</ClientText> <StatusBadge status={status} />
        </h1>
        <p class="id">
          <code>{keyId}</code> <CopyButton text={keyId} what="the key id" />
        </p>
      </div>
      {issued !== undefined && <Issued issued={issued} onDismiss={() => setIssued(undefined)} />}
      <KeyActions shown={shown} onChange={onChange} onIssued={setIssued} />
      <div class="columns">
        <section>
          <h2>Record</h2>
          <Record shown={shown} />
        </section>
        <KeyFamily family={family} keyId={keyId} version={version} audit={audit.value?.events ?? []} />
      </div>
      <KeyLimits keyId={keyId} />
      <KeyUsage keyId={keyId} />
      <AuditOrScope audit={audit} />
    </>
  );
}

function AuditOrScope({ audit }: { readonly audit: CallState<AuditEvents> }) {
  const missing = useMissingScope("audit:read");
  if (missing === undefined) return <KeyAudit audit={audit} />;
  return (
    <section>
      <h2>Audit</h2>
      <p class="muted">
        To read audit events, sign in with a credential that has <code>{missing}</code>.
      </p>
    </section>
  );
}

function Record({ shown }: { readonly shown: Key }) {
  const { owner, family, role, plan, scopes, addresses, cnf, metadata, superseded_by: successor } = shown;
  return (
    <Facts
      rows={[
        ["Owner", owner === null ? "itself" : <OwnerLink key="owner" owner={owner} />],
        ["Role", role],
        ["Plan", plan ?? "of its role"],
        ["Scopes", scopes.length === 0 ? "none" : scopes.join(" ")],
        ["Last used", <Time key="used" at={shown.last_used_at} />],
        ["Issued", <Time key="issued" at={shown.issued_at} />],
        ["Refresh from", <Time key="refresh" at={shown.refresh_after} />],
        ["Expires", <Time key="expires" at={shown.expires_at} />],
        ...(successor === null ? [] : ([["Successor", <KeyLink key="next" keyId={successor} />]] as const)),
        ...(shown.superseded_from === null
          ? []
          : ([["Denied from", <Time key="overlap" at={shown.superseded_from} />]] as const)),
        ["Family", <code key="family">{family}</code>],
        ["Registered by", shown.self_service ? "its holder, without an operator" : "an operator"],
        ...(shown.legacy ? ([["Kind", "opaque (V1) key"]] as const) : []),
        ["Addresses", addresses === null ? "any" : addresses.join(" ")],
        ["Certificate", cnf === null ? "any" : <code key="cnf">{cnf["x5t#S256"]}</code>],
        ["Metadata", metadata === null ? "none" : <ClientCode key="metadata" value={metadata} />],
      ]}
    />
  );
}

function OwnerLink({ owner }: { readonly owner: string }) {
  return (
    <a href={hrefOf(["keys"], { owner })}>
      <ClientText>{owner}</ClientText>
    </a>
  );
}

export function KeyLink({ keyId }: { readonly keyId: string }) {
  return (
    <a href={keyHref(keyId)}>
      <code>{keyId}</code>
    </a>
  );
}

function ClientCode({ value }: { readonly value: object }) {
  return (
    <bdi>
      <code>{JSON.stringify(value)}</code>
    </bdi>
  );
}
