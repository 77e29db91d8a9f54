import { useState } from "preact/hooks";
import { Button } from "../../parts/button.tsx";
import { useToast } from "../../parts/toast.tsx";
import { Affected, useTotals } from "./affected.tsx";
import { RevokeOwner } from "./revoke-dialog.tsx";

/** What can be done to all keys of the owner in the search. */
export function OwnerActions({ owner, onDone }: { readonly owner: string; readonly onDone: () => void }) {
  const totals = useTotals({ owner });
  const [isOpen, setOpen] = useState(false);
  const toast = useToast();
  const done = () => {
    setOpen(false);
    toast(`The keys of ${owner} are revoked.`);
    totals.reload();
    onDone();
  };
  return (
    <div class="owner-actions">
      <Affected totals={totals} />
      <Button kind="danger" onClick={() => setOpen(true)}>
        Revoke all keys of this owner
      </Button>
      {isOpen && <RevokeOwner owner={owner} onDone={done} onClose={() => setOpen(false)} />}
    </div>
  );
}
