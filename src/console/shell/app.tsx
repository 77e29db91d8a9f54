import { useEffect, useMemo, useState } from "preact/hooks";
import { Console } from "../data/context.ts";
import type { ConsoleSessions } from "../data/session.ts";
import { useBrowserSession } from "../data/use-browser-session.ts";
import type { Page } from "../page.ts";
import { ErrorState, Loading } from "../parts/states.tsx";
import { Toasts } from "../parts/toast.tsx";
import { Frame } from "./frame.tsx";
import { SignIn } from "./sign-in.tsx";

export interface AppProps {
  readonly pages: readonly Page[];
  readonly sessions: ConsoleSessions;
  /** Resolves with the problem of the sign-in link, if it failed. */
  readonly start: Promise<unknown>;
}

/** The whole console. */
export function App({ pages, sessions, start }: AppProps) {
  const state = useBrowserSession(sessions);
  const [linkProblem, setLinkProblem] = useState<unknown>(undefined);
  useEffect(() => void start.then(setLinkProblem), [start]);
  const session = state.kind === "signed-in" ? state.session : undefined;
  const context = useMemo(() => session && { sessions, session }, [sessions, session]);
  if (context !== undefined)
    return (
      <Console.Provider value={context}>
        <Toasts>
          {/* Another tab may sign in as someone else: nothing of one person is shown to another one. */}
          <Frame key={context.session.name} pages={pages} />
        </Toasts>
      </Console.Provider>
    );
  if (state.kind === "signed-out")
    return <SignIn sessions={sessions} ended={state} linkProblem={linkProblem} />;
  return (
    <main class="sign-in">
      {state.kind === "unreachable" ? (
        <ErrorState problem={state.problem} onRetry={() => void sessions.resume()} />
      ) : (
        <Loading what="the console" />
      )}
    </main>
  );
}
