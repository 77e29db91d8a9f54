import { useEffect, useRef } from "preact/hooks";
import type { IssuedKey } from "../../../client/types.ts";
import { Button } from "../../parts/button.tsx";
import { CopyButton } from "../../parts/copy-button.tsx";
import { Time } from "../../parts/time.tsx";

export interface IssuedProps {
  readonly issued: IssuedKey;
  /** Called when the person has stored the key. The caller then forgets it. */
  onDismiss(): void;
}

/**
 * Shows a new key, the only time. It is text, not the value of a field, because browsers store values of fields. Leaving the
 * document asks first.
 */
export function Issued({ issued, onDismiss }: IssuedProps) {
  const { api_key: key, key_id: keyId, role, plan, scopes, expires_at: expiresAt } = issued;
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    heading.current?.focus();
    const ask = (event: BeforeUnloadEvent) => event.preventDefault();
    addEventListener("beforeunload", ask);
    return () => removeEventListener("beforeunload", ask);
  }, []);
  return (
    <section class="issued" aria-label="New key">
      <h2 ref={heading} tabIndex={-1}>
        Store this key now. It is not shown again.
      </h2>
      <pre>
        <code>{key}</code>
      </pre>
      <p class="muted">
        <code>{keyId}</code>, {role}
        {plan !== undefined && `, plan ${plan}`}
        {scopes.length > 0 && `, ${scopes.join(" ")}`}, expires <Time at={expiresAt} />
      </p>
      <div class="row">
        <CopyButton text={key} what="the key" />
        <Button kind="primary" onClick={onDismiss}>
          I have stored it
        </Button>
      </div>
    </section>
  );
}
