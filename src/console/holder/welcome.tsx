import type { TargetedSubmitEvent } from "preact";
import { useEffect, useRef } from "preact/hooks";
import type { SignedOutState } from "../data/browser-session.ts";
import { Button } from "../parts/button.tsx";
import { Field } from "../parts/field.tsx";
import { Notice } from "../parts/notice.tsx";
import { ProviderSignOut } from "../parts/provider-sign-out.tsx";

export interface WelcomeProps {
  readonly ended: SignedOutState;
  readonly offersOidc: boolean;
  onPaste(key: string): void;
}

/** Before the sign-in, and instead of one. */
export function Welcome({ ended: { because, providerSignOut }, offersOidc, onPaste }: WelcomeProps) {
  useEffect(() => {
    document.title = "API keys · Latchkey";
  }, []);
  return (
    <div class="welcome">
      {because !== undefined && <Notice tone="warn">{because}</Notice>}
      {providerSignOut !== undefined && <ProviderSignOut url={providerSignOut} />}
      {offersOidc && (
        <section class="panel">
          <h1>Manage your keys</h1>
          <p>Create, rotate and revoke the keys of your account, and see what they use.</p>
          <a class="button primary" href="/keys/oidc">
            Sign in
          </a>
        </section>
      )}
      <section class="panel">
        {offersOidc ? <h2>Look at one key</h2> : <h1>Look at a key</h1>}
        <p>Paste a key to see what it may do and what is left, to refresh it, or to revoke it.</p>
        <PasteForm onPaste={onPaste} isFocused={!offersOidc} />
      </section>
    </div>
  );
}

interface PasteFormProps {
  onPaste(key: string): void;
  readonly isFocused: boolean;
}

/** The field is emptied at once, so the document does not keep the key. */
export function PasteForm({ onPaste, isFocused }: PasteFormProps) {
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => {
    if (isFocused) field.current?.focus();
  }, [isFocused]);
  const submit = (event: TargetedSubmitEvent<HTMLFormElement>) => {
    event.preventDefault();
    const key = field.current?.value.trim() ?? "";
    if (field.current === null || key === "") return;
    field.current.value = "";
    onPaste(key);
  };
  return (
    <form class="stack" onSubmit={submit}>
      <Field label="Key" hint="It is sent to this server only, and forgotten when you leave the page.">
        {(ids) => (
          <input {...ids} ref={field} type="password" required autocomplete="off" spellcheck={false} />
        )}
      </Field>
      <div>
        <Button kind={isFocused ? "primary" : "normal"} type="submit">
          Show key
        </Button>
      </div>
    </form>
  );
}
