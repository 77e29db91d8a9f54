import { CopyButton } from "../parts/copy-button.tsx";

/** How a program uses a key. The examples name a variable, so that no copy of the page has the key in it. */
export function Examples() {
  const { origin } = location;
  const header = "Authorization: Bearer $API_KEY";
  return (
    <section>
      <h2>In a program</h2>
      <p class="muted">
        Send the key to the API in the header <code>Authorization: Bearer …</code>. Keep it in a secret store,
        not in the source.
      </p>
      <Example title="curl: what is left" text={`curl -H "${header}" ${origin}/api/auth/v2/limits`} />
      <Example
        title="curl: refresh before it expires"
        text={`curl -H "Content-Type: application/json" -d "{\\"current_key\\":\\"$API_KEY\\"}" \\\n  ${origin}/api/auth/v2/refresh`}
      />
      <Example title="TypeScript" text={TYPED.replace("ORIGIN", origin)} />
    </section>
  );
}

const TYPED = `import { createClient } from "latchkey/client";

const latchkey = createClient({ url: "ORIGIN" });
const key = process.env.API_KEY ?? "";
const { quotas } = await latchkey.ownLimits(key);
const { api_key, expires_at } = await latchkey.refresh(key, {
  idempotencyKey: crypto.randomUUID(),
});`;

function Example({ title, text }: { readonly title: string; readonly text: string }) {
  return (
    <figure class="example">
      <figcaption>
        {title}
        <CopyButton text={text} what={`the example "${title}"`} />
      </figcaption>
      <pre>
        <code>{text}</code>
      </pre>
    </figure>
  );
}
