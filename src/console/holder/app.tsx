import { useState } from "preact/hooks";
import { Problems } from "../data/context.ts";
import { useAction } from "../data/use-action.ts";
import { useBrowserSession } from "../data/use-browser-session.ts";
import { Button } from "../parts/button.tsx";
import { ErrorState, Loading, ProblemNotice } from "../parts/states.tsx";
import { Toasts } from "../parts/toast.tsx";
import { OwnKeys } from "./own-keys.tsx";
import { PastedKey } from "./pasted-key.tsx";
import type { OwnerSessions, OwnerState } from "./session.ts";
import { Welcome } from "./welcome.tsx";

/** The page for holders of keys. */
export function HolderApp({ sessions }: { readonly sessions: OwnerSessions }) {
  const state = useBrowserSession(sessions);
  // The key lives here and nowhere else: neither in the document nor in any storage.
  const [pasted, setPasted] = useState<string | undefined>(undefined);
  const session = state.kind === "signed-in" ? state.session : undefined;
  return (
    <Problems.Provider value={sessions}>
      <Toasts>
        <div class="frame holder">
          <header class="bar">
            <a class="brand" href="/keys">
              Latchkey
            </a>
            <span class="place">API keys</span>
            {session !== undefined && <SignedIn name={session.name} sessions={sessions} />}
          </header>
          <main id="main">
            {pasted !== undefined ? (
              <PastedKey
                client={sessions.client}
                pasted={pasted}
                onReplace={setPasted}
                onClose={() => setPasted(undefined)}
              />
            ) : session !== undefined ? (
              <OwnKeys
                // Another tab may sign in as someone else: nothing of one owner is shown to another one.
                key={session.owner}
                client={sessions.client}
                session={session}
                onPaste={setPasted}
              />
            ) : (
              <SignedOut state={state} sessions={sessions} onPaste={setPasted} />
            )}
          </main>
        </div>
      </Toasts>
    </Problems.Provider>
  );
}

interface SignedOutProps {
  readonly state: OwnerState;
  readonly sessions: OwnerSessions;
  onPaste(key: string): void;
}

function SignedOut({ state, sessions, onPaste }: SignedOutProps) {
  if (state.kind === "unreachable")
    return <ErrorState problem={state.problem} onRetry={() => void sessions.start()} />;
  if (state.kind !== "signed-out") return <Loading what="the page" />;
  return <Welcome ended={state} offersOidc={sessions.offersOidc} onPaste={onPaste} />;
}

function SignedIn({ name, sessions }: { readonly name: string; readonly sessions: OwnerSessions }) {
  const signOut = useAction(() => sessions.signOut());
  return (
    <div class="account">
      <span class="name" title={name}>
        {name}
      </span>
      <Button kind="quiet" isRunning={signOut.isRunning} onClick={() => void signOut.run()}>
        Sign out
      </Button>
      {signOut.problem !== undefined && <ProblemNotice problem={signOut.problem} />}
    </div>
  );
}
