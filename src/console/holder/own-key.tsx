import { useCallback, useState } from "preact/hooks";
import type { LatchkeyClient } from "../../client/client.ts";
import type { Key, OwnerSession } from "../../client/types.ts";
import { Button } from "../parts/button.tsx";
import { Facts } from "../parts/facts.tsx";
import { Missing } from "../parts/states.tsx";
import { Time } from "../parts/time.tsx";
import { hrefOf } from "../shell/route.ts";
import { Examples } from "./examples.tsx";
import { KeyStatusBadge } from "./key-status.tsx";
import { KeyUse } from "./key-use.tsx";
import { ScopeList } from "./pasted-key.tsx";
import { RevokeKey } from "./revoke-key.tsx";
import { RotateKey } from "./rotate-key.tsx";

export interface OwnKeyProps {
  readonly client: LatchkeyClient;
  readonly session: OwnerSession;
  readonly keyId: string;
  /** Undefined if the owner has no such key. */
  readonly found: Key | undefined;
  onChange(): void;
}

/** One key of the signed-in person's owner. */
export function OwnKey({ client, session, keyId, found, onChange }: OwnKeyProps) {
  return (
    <>
      <nav aria-label="Back">
        <a href={hrefOf([])}>All your keys</a>
      </nav>
      {found === undefined ? (
        <Missing what="key of yours" />
      ) : (
        <KeyView key={keyId} client={client} session={session} value={found} onChange={onChange} />
      )}
    </>
  );
}

type KeyViewProps = Omit<OwnKeyProps, "keyId" | "found"> & { readonly value: Key };

function KeyView({ client, session, value, onChange }: KeyViewProps) {
  const [open, setOpen] = useState<"rotate" | "revoke" | undefined>(undefined);
  const { key_id: keyId, status } = value;
  const readLimits = useCallback(() => client.owner.limits(keyId), [client, keyId]);
  const readUsage = useCallback(() => client.owner.usage(keyId), [client, keyId]);
  const canRotate = status === "active" && session.roles.some(({ name }) => name === value.role);
  const hasEnded = status === "revoked" || status === "expired";
  const dialog = { client, value, onChange, onClose: () => setOpen(undefined) };
  return (
    <>
      <div class="page-head">
        <h1>
          <bdi>{value.name}</bdi>
        </h1>
        <div class="row">
          {canRotate && <Button onClick={() => setOpen("rotate")}>Rotate…</Button>}
          {!hasEnded && (
            <Button kind="danger" onClick={() => setOpen("revoke")}>
              Revoke…
            </Button>
          )}
        </div>
      </div>
      <Facts
        rows={[
          ["Status", <KeyStatusBadge key="status" value={value} />],
          ["Key id", <code key="id">{keyId}</code>],
          ["Role", value.role],
          ["Scopes", <ScopeList key="scopes" scopes={value.scopes} />],
          ["Created", <Time key="issued" at={value.issued_at} />],
          ["Last used", <Time key="used" at={value.last_used_at} />],
          ["Expires", <Time key="end" at={value.expires_at} />],
          ...(value.superseded_by === null
            ? []
            : ([
                [
                  "Replaced by",
                  <a key="next" href={hrefOf([value.superseded_by])}>
                    {value.superseded_by}
                  </a>,
                ],
                ["Denied", <Time key="from" at={value.superseded_from} />],
              ] as const)),
          ...(value.addresses === null ? [] : ([["Accepted from", value.addresses.join(", ")]] as const)),
        ]}
      />
      <KeyUse readLimits={readLimits} readUsage={readUsage} />
      {!hasEnded && <Examples />}
      {open === "rotate" && <RotateKey {...dialog} />}
      {open === "revoke" && <RevokeKey {...dialog} />}
    </>
  );
}
