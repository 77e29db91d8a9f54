import { useState } from "preact/hooks";
import type { IssuedKey, Key } from "../../../client/types.ts";
import { useClient, useMissingScope } from "../../data/context.ts";
import { useAction } from "../../data/use-action.ts";
import { Button } from "../../parts/button.tsx";
import { ConfirmDialog } from "../../parts/dialog.tsx";
import { Notice } from "../../parts/notice.tsx";
import { ProblemNotice } from "../../parts/states.tsx";
import { Time } from "../../parts/time.tsx";
import { RevokeFamily, RevokeKey, RevokeOwner } from "./revoke-dialog.tsx";
import { RotateKey } from "./rotate-dialog.tsx";

type Open = "rotate" | "disable" | "revoke" | "family" | "owner";

export interface KeyActionsProps {
  readonly shown: Key;
  /** Called after each change. */
  onChange(): void;
  onIssued(issued: IssuedKey): void;
}

/** What can be done to a key, to its family and to its owner's keys. */
export function KeyActions({ shown, onChange, onIssued }: KeyActionsProps) {
  const [open, setOpen] = useState<Open | undefined>(undefined);
  const [done, setDone] = useState<"disabled" | "enabled" | "revoked" | undefined>(undefined);
  const toggle = useToggle(shown.key_id);
  const missing = useMissingScope("keys:write");
  if (missing !== undefined)
    return (
      <p class="muted">
        To change keys, sign in with a credential that has <code>{missing}</code>.
      </p>
    );
  const close = () => setOpen(undefined);
  const finish = (what: typeof done) => {
    close();
    setDone(what);
    onChange();
  };
  const setDisabled = async (disabled: boolean) => {
    if (await toggle.run(disabled)) finish(disabled ? "disabled" : "enabled");
  };
  const revoked = { onDone: () => finish("revoked"), onClose: close };
  return (
    <>
      <ActionButtons
        shown={shown}
        isRunning={toggle.isRunning}
        onOpen={setOpen}
        onEnable={() => void setDisabled(false)}
      />
      {open === undefined && toggle.problem !== undefined && <ProblemNotice problem={toggle.problem} />}
      <Done what={done} isRunning={toggle.isRunning} onUndo={() => void setDisabled(false)} />
      {open === "rotate" && (
        <RotateKey
          shown={shown}
          onClose={close}
          onIssued={(issued) => {
            close();
            onIssued(issued);
            onChange();
          }}
        />
      )}
      {open === "disable" && (
        <DisableKey shown={shown} toggle={toggle} onClose={close} onConfirm={() => void setDisabled(true)} />
      )}
      {open === "revoke" && <RevokeKey shown={shown} {...revoked} />}
      {open === "family" && <RevokeFamily family={shown.family} {...revoked} />}
      {open === "owner" && shown.owner !== null && <RevokeOwner owner={shown.owner} {...revoked} />}
    </>
  );
}

interface DisableProps {
  readonly shown: Key;
  readonly toggle: ReturnType<typeof useToggle>;
  onClose(): void;
  onConfirm(): void;
}

function DisableKey({ shown, toggle, onClose, onConfirm }: DisableProps) {
  return (
    <ConfirmDialog
      title="Disable this key"
      action="Disable"
      isRunning={toggle.isRunning}
      problem={toggle.problem}
      onClose={onClose}
      onConfirm={onConfirm}
    >
      <p class="affected">
        <strong>1 key</strong>, last used <Time at={shown.last_used_at} />.
      </p>
      <p>
        Every instance denies it until it is enabled again. Its predecessors and successors stay as they are.
      </p>
    </ConfirmDialog>
  );
}

function useToggle(keyId: string) {
  const client = useClient();
  return useAction((disabled: boolean) => client.keys.change(keyId, { disabled }));
}

interface ButtonsProps {
  readonly shown: Key;
  readonly isRunning: boolean;
  onOpen(dialog: Open): void;
  onEnable(): void;
}

function ActionButtons({ shown, isRunning, onOpen, onEnable }: ButtonsProps) {
  const { status, owner, superseded_by: successor } = shown;
  const isEnded = status === "revoked" || status === "expired";
  return (
    <div class="row key-actions">
      {!isEnded && successor === null && <Button onClick={() => onOpen("rotate")}>Rotate</Button>}
      {status === "disabled" ? (
        <Button isRunning={isRunning} onClick={onEnable}>
          Enable
        </Button>
      ) : (
        !isEnded && <Button onClick={() => onOpen("disable")}>Disable</Button>
      )}
      <div class="ends">
        {!isEnded && (
          <Button kind="danger" onClick={() => onOpen("revoke")}>
            Revoke the key
          </Button>
        )}
        <Button kind="danger" onClick={() => onOpen("family")}>
          Revoke the family
        </Button>
        {owner !== null && (
          <Button kind="danger" onClick={() => onOpen("owner")}>
            Revoke all keys of the owner
          </Button>
        )}
      </div>
    </div>
  );
}

interface DoneProps {
  readonly what: "disabled" | "enabled" | "revoked" | undefined;
  readonly isRunning: boolean;
  onUndo(): void;
}

/** Confirms the last change. A disabled key can be enabled again. */
function Done({ what, isRunning, onUndo }: DoneProps) {
  if (what === undefined) return null;
  return (
    <Notice tone={what === "enabled" ? "good" : "warn"}>
      <div class="done">
        <p>
          {what === "enabled" && "Enabled. Every instance accepts the key again."}
          {what === "disabled" && "Disabled. Every instance denies the key."}
          {what === "revoked" && "Revoked. Every instance denies these keys."}
        </p>
        {what === "disabled" && (
          <Button isRunning={isRunning} onClick={onUndo}>
            Undo
          </Button>
        )}
      </div>
    </Notice>
  );
}
