import type { TargetedSubmitEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import type { SignedOutState } from "../data/browser-session.ts";
import type { ConsoleSessions } from "../data/session.ts";
import { offersOidc } from "../data/sign-in-text.ts";
import { Button } from "../parts/button.tsx";
import { Field } from "../parts/field.tsx";
import { Notice } from "../parts/notice.tsx";
import { ProviderSignOut } from "../parts/provider-sign-out.tsx";
import { ProblemNotice } from "../parts/states.tsx";

export interface SignInProps {
  readonly sessions: ConsoleSessions;
  /** Why the last session has ended. */
  readonly ended: SignedOutState;
  readonly linkProblem: unknown;
}

/** Exchanges a credential for a session. The field is emptied at once, so the page does not keep the credential. */
export function SignIn({ sessions, ended: { because, providerSignOut }, linkProblem }: SignInProps) {
  const field = useRef<HTMLInputElement>(null);
  const account = useRef<HTMLAnchorElement>(null);
  const [problem, setProblem] = useState<unknown>(undefined);
  const [isRunning, setRunning] = useState(false);
  useEffect(() => {
    document.title = "Sign in · Latchkey";
    (account.current ?? field.current)?.focus();
  }, []);
  const submit = async (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const input = field.current;
    const credential = input?.value.trim() ?? "";
    if (input === null || credential === "" || isRunning) return;
    input.value = "";
    setRunning(true);
    setProblem(undefined);
    try {
      await sessions.signIn({ credential });
    } catch (failure) {
      setProblem(failure);
      setRunning(false);
      input.focus();
    }
  };
  const shown = problem ?? linkProblem;
  return (
    <main class="sign-in">
      <h1>
        <span class="brand">Latchkey</span> console
      </h1>
      {because !== undefined && shown === undefined && <Notice tone="warn">{because}</Notice>}
      {providerSignOut !== undefined && <ProviderSignOut url={providerSignOut} />}
      {shown !== undefined && <ProblemNotice problem={shown} />}
      {offersOidc() && (
        <>
          <a ref={account} class="button primary wide" href="/console/oidc">
            Sign in with your account
          </a>
          <p class="or">or with a credential</p>
        </>
      )}
      <form class="stack" onSubmit={submit}>
        <Field
          label="Operator token or key"
          hint="It is exchanged for a session, and not kept in the browser."
        >
          {(ids) => (
            <input {...ids} ref={field} type="password" required autocomplete="off" spellcheck={false} />
          )}
        </Field>
        <Button kind={offersOidc() ? "normal" : "primary"} type="submit" isRunning={isRunning}>
          Sign in
        </Button>
      </form>
      <p class="muted">
        On a terminal that has <code>LATCHKEY_TOKEN</code>, <code>latchkey console</code> prints a link that
        signs in once.
      </p>
    </main>
  );
}
