import type { IssuedKey } from "../../client/types.ts";
import { Button } from "../parts/button.tsx";
import { CopyButton } from "../parts/copy-button.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { Facts } from "../parts/facts.tsx";
import { Notice } from "../parts/notice.tsx";
import { Time } from "../parts/time.tsx";

export interface NewKeyProps {
  readonly issued: IssuedKey;
  /** What became of the key before; absent for the first key. */
  readonly before?: string;
  onClose(): void;
}

/** Shows a key once. When the dialog closes, the page has forgotten it. */
export function NewKey({ issued, before, onClose }: NewKeyProps) {
  return (
    <Dialog title="Your new key" onClose={onClose}>
      <div class="stack">
        <Notice tone="warn">
          Copy the key now. It is shown once: no page and no operator can show it again.
        </Notice>
        <div class="secret">
          <code>{issued.api_key}</code>
          <CopyButton text={issued.api_key} what="the key" />
        </div>
        <Facts
          rows={[
            ["Key id", <code key="id">{issued.key_id}</code>],
            ["Role", issued.role],
            ["Expires", <Time key="end" at={issued.expires_at} />],
            ["Can be refreshed", <Time key="refresh" at={issued.refresh_after} />],
          ]}
        />
        {before !== undefined && <p>{before}</p>}
        <div class="actions">
          <Button kind="primary" onClick={onClose}>
            I have copied it
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
