import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { LatchkeyClient } from "../../client/client.ts";
import type { IssuedKey, ValidKey } from "../../client/types.ts";
import { useAction } from "../data/use-action.ts";
import { useCall } from "../data/use-call.ts";
import { Badge } from "../parts/badge.tsx";
import { Button } from "../parts/button.tsx";
import { ConfirmDialog } from "../parts/dialog.tsx";
import { Facts } from "../parts/facts.tsx";
import { CallView, ProblemNotice } from "../parts/states.tsx";
import { Time } from "../parts/time.tsx";
import { useToast } from "../parts/toast.tsx";
import { Examples } from "./examples.tsx";
import { KeyUse } from "./key-use.tsx";
import { NewKey } from "./new-key.tsx";
import { newIdempotencyKey } from "./random.ts";

export interface PastedKeyProps {
  readonly client: LatchkeyClient;
  readonly pasted: string;
  /** Called with the successor after a refresh. */
  onReplace(key: string): void;
  onClose(): void;
}

/** One key, by itself: what it may do, what is left, and how it ends. */
export function PastedKey({ client, pasted, onReplace, onClose }: PastedKeyProps) {
  const valid = useCall(useCallback(() => client.validate(pasted), [client, pasted]));
  useEffect(() => {
    document.title = "A key · Latchkey";
  }, []);
  return (
    <>
      <div class="page-head">
        <h1>Your key</h1>
        <Button onClick={onClose}>Forget this key</Button>
      </div>
      <CallView call={valid} what="the key">
        {(key) => (
          <KeyView client={client} pasted={pasted} valid={key} onReplace={onReplace} onClose={onClose} />
        )}
      </CallView>
    </>
  );
}

function KeyView(props: PastedKeyProps & { readonly valid: ValidKey }) {
  const { client, pasted, valid, onReplace, onClose } = props;
  const [issued, setIssued] = useState<IssuedKey | undefined>(undefined);
  const [isRevoking, setRevoking] = useState(false);
  // A repeated attempt after a lost response gets the same successor.
  const idempotencyKey = useRef(newIdempotencyKey());
  const refresh = useAction(async () => {
    setIssued(await client.refresh(pasted, { idempotencyKey: idempotencyKey.current }));
  });
  const readLimits = useCallback(() => client.ownLimits(pasted), [client, pasted]);
  const readUsage = useCallback(() => client.ownUsage(pasted), [client, pasted]);
  return (
    <>
      <Facts
        rows={[
          [
            "Status",
            <Badge key="status" tone="good">
              valid
            </Badge>,
          ],
          ["Key id", <code key="id">{valid.key_id}</code>],
          ["Role", valid.role],
          ["Plan", valid.plan ?? "that of the role"],
          ["Scopes", <ScopeList key="scopes" scopes={valid.scopes} />],
          ["Expires", <Time key="end" at={valid.expires_at} />],
        ]}
      />
      <div class="row">
        <Button isRunning={refresh.isRunning} onClick={() => void refresh.run()}>
          Refresh
        </Button>
        <Button kind="danger" onClick={() => setRevoking(true)}>
          Revoke…
        </Button>
      </div>
      {refresh.problem !== undefined && <RefreshProblem problem={refresh.problem} />}
      <KeyUse readLimits={readLimits} readUsage={readUsage} />
      <Examples />
      {issued !== undefined && (
        <NewKey
          issued={issued}
          before="The old key stays valid until its overlap or its life ends."
          onClose={() => {
            idempotencyKey.current = newIdempotencyKey();
            setIssued(undefined);
            onReplace(issued.api_key);
          }}
        />
      )}
      {isRevoking && (
        <RevokeDialog
          client={client}
          pasted={pasted}
          valid={valid}
          onDone={onClose}
          onClose={() => setRevoking(false)}
        />
      )}
    </>
  );
}

export function ScopeList({ scopes }: { readonly scopes: readonly string[] }) {
  if (scopes.length === 0) return <span class="muted">none</span>;
  return (
    <>
      {scopes.map((scope) => (
        <code key={scope} class="kid">
          {scope}
        </code>
      ))}
    </>
  );
}

/** Says when the key can be refreshed, if it is too early. */
function RefreshProblem({ problem }: { readonly problem: unknown }) {
  const members: unknown = problem instanceof Error && "members" in problem ? problem.members : undefined;
  const { refresh_after: after }: { readonly refresh_after?: unknown } = Object(members);
  return (
    <>
      <ProblemNotice problem={problem} />
      {typeof after === "string" && (
        <p>
          It can be refreshed <Time at={after} />.
        </p>
      )}
    </>
  );
}

interface RevokeProps {
  readonly client: LatchkeyClient;
  readonly pasted: string;
  readonly valid: ValidKey;
  onDone(): void;
  onClose(): void;
}

function RevokeDialog({ client, pasted, valid, onDone, onClose }: RevokeProps) {
  const toast = useToast();
  const revoke = useAction(async () => {
    await client.revoke(pasted);
    toast("The key is revoked.");
    onDone();
  });
  return (
    <ConfirmDialog
      title="Revoke this key?"
      action="Revoke key"
      typed="revoke"
      isRunning={revoke.isRunning}
      problem={revoke.problem}
      onConfirm={() => void revoke.run()}
      onClose={onClose}
    >
      <p>
        <code>{valid.key_id}</code> and every key that it was refreshed from or to stop working within a
        second. This cannot be undone.
      </p>
    </ConfirmDialog>
  );
}
