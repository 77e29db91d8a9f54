import type { ComponentChildren } from "preact";
import type { Key } from "../../../client/types.ts";
import { useClient } from "../../data/context.ts";
import { useAction } from "../../data/use-action.ts";
import { ConfirmDialog } from "../../parts/dialog.tsx";
import { Time } from "../../parts/time.tsx";
import { Affected, useTotals } from "./affected.tsx";
import { ClientText, StatusBadge } from "./key-parts.tsx";

interface RevokeProps {
  onDone(): void;
  onClose(): void;
}

/** A person cannot type every name: the id's end names the key as well. */
function typedName(name: string, id: string): string {
  return /^[!-~]+(?: [!-~]+)*$/.test(name) && name.length <= 40 ? name : id.slice(-8);
}

export function RevokeKey({ shown, ...props }: RevokeProps & { readonly shown: Key }) {
  const client = useClient();
  const { key_id: keyId, name, status, last_used_at: lastUse, superseded_by: successor } = shown;
  return (
    <RevokeDialog
      {...props}
      title="Revoke this key"
      typed={typedName(name, keyId)}
      revoke={() => client.keys.revoke(keyId)}
    >
      <p>
        <ClientText>{name}</ClientText> <StatusBadge status={status} />
        <br />
        <code>{keyId}</code>
      </p>
      <p class="affected">
        <strong>1 key</strong>, last used <Time at={lastUse} />.
      </p>
      <p>
        Every instance denies it from now on.{" "}
        {successor === null ? "Its earlier keys stay as they are." : "Its successor stays valid."} A
        revocation cannot be undone.
      </p>
    </RevokeDialog>
  );
}

export function RevokeFamily({ family, ...props }: RevokeProps & { readonly family: string }) {
  const client = useClient();
  const totals = useTotals({ family });
  return (
    <RevokeDialog
      {...props}
      title="Revoke this family"
      typed={family.slice(-8)}
      revoke={() => client.keys.revokeFamily(family)}
    >
      <p>
        <code>{family}</code>
      </p>
      <Affected totals={totals} />
      <p>
        Every key that descends from the same registration is denied from now on, and none can be refreshed. A
        revocation cannot be undone.
      </p>
    </RevokeDialog>
  );
}

export function RevokeOwner({ owner, ...props }: RevokeProps & { readonly owner: string }) {
  const client = useClient();
  const totals = useTotals({ owner });
  return (
    <RevokeDialog
      {...props}
      title="Revoke all keys of this owner"
      typed={owner}
      revoke={() => client.keys.revokeOwner(owner)}
    >
      <p>
        <ClientText>{owner}</ClientText>
      </p>
      <Affected totals={totals} />
      <p>
        Every key that the owner has now is denied, and none can be refreshed. Keys that are registered later
        are valid. A revocation cannot be undone.
      </p>
    </RevokeDialog>
  );
}

interface RevokeDialogProps extends RevokeProps {
  readonly title: string;
  readonly typed: string;
  readonly children: ComponentChildren;
  revoke(): Promise<void>;
}

function RevokeDialog({ title, typed, children, revoke, onDone, onClose }: RevokeDialogProps) {
  const action = useAction(async () => {
    await revoke();
    return true;
  });
  const confirm = async () => {
    if (await action.run()) onDone();
  };
  return (
    <ConfirmDialog
      title={title}
      action="Revoke"
      typed={typed}
      isRunning={action.isRunning}
      problem={action.problem}
      onClose={onClose}
      onConfirm={() => void confirm()}
    >
      {children}
    </ConfirmDialog>
  );
}
