import { useState } from "preact/hooks";
import { useSession, useSessions } from "../data/context.ts";
import { useAction } from "../data/use-action.ts";
import { Button } from "../parts/button.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { Facts } from "../parts/facts.tsx";
import { Time } from "../parts/time.tsx";

const MEANINGS = {
  "keys:read": "See keys, limits, usage and the policy.",
  "keys:write": "Register, change, rotate and revoke keys.",
  "limits:write": "Set plans and overrides.",
  "audit:read": "Read the audit log.",
  "system:write": "Reload the policy, and set the migration phase.",
} as const;

/** The name of the person, the scopes and times of the session, and the sign-out. */
export function Account({ onHelp }: { readonly onHelp: () => void }) {
  const { name } = useSession();
  const [isOpen, setOpen] = useState(false);
  return (
    <div class="account">
      <Button kind="quiet" onClick={onHelp} label="Keyboard shortcuts">
        ?
      </Button>
      <Button kind="quiet" onClick={() => setOpen(true)} title="Session">
        <span class="name">{name}</span>
      </Button>
      {isOpen && <SessionDialog onClose={() => setOpen(false)} />}
    </div>
  );
}

function SessionDialog({ onClose }: { readonly onClose: () => void }) {
  const sessions = useSessions();
  const session = useSession();
  const signOut = useAction(() => sessions.signOut());
  return (
    <Dialog title="Session" onClose={onClose}>
      <Facts
        rows={[
          ["Signed in as", <code key="name">{session.name}</code>],
          ["Since", <Time key="since" at={session.started_at} />],
          ["Ends without an action", <Time key="ends" at={session.ends_at} />],
          ["Ends at the latest", <Time key="latest" at={session.ends_at_latest} />],
        ]}
      />
      <h3>What this session may do</h3>
      <ul class="scopes">
        {session.scopes.map((scope) => (
          <li key={scope}>
            <code>{scope}</code> {MEANINGS[scope]}
          </li>
        ))}
      </ul>
      <div class="actions">
        <Button onClick={onClose}>Close</Button>
        <Button kind="primary" isRunning={signOut.isRunning} onClick={() => void signOut.run()}>
          Sign out
        </Button>
      </div>
    </Dialog>
  );
}
