import type { KeyStatus } from "../../../client/types.ts";
import { Badge } from "../../parts/badge.tsx";
import type { Tone } from "../../parts/notice.tsx";
import { hrefOf } from "../../shell/route.ts";
import { isKeyId } from "./key-search.ts";

const TONES: Readonly<Record<KeyStatus, Tone>> = {
  active: "good",
  superseded: "neutral",
  disabled: "warn",
  revoked: "bad",
  expired: "neutral",
};

export function StatusBadge({ status }: { readonly status: KeyStatus }) {
  return <Badge tone={TONES[status]}>{status}</Badge>;
}

/** A text that a client chose. Its direction and its length change nothing around it. */
export function ClientText({ children }: { readonly children: string }) {
  return (
    <bdi class="client-text" title={children.length > 80 ? children.slice(0, 1000) : undefined}>
      {children}
    </bdi>
  );
}

/** The caller in an audit line. A key is shortened to the end of its id. */
export function Actor({ actor }: { readonly actor: string }) {
  const keyId = actor.startsWith("key:") ? actor.slice("key:".length) : "";
  if (!isKeyId(keyId)) return <bdi>{actor}</bdi>;
  return (
    <>
      key <ShortKeyLink keyId={keyId} />
    </>
  );
}

/** The end of a key id names the key well enough beside others of its family. */
export function ShortKeyLink({ keyId }: { readonly keyId: string }) {
  return (
    <a href={keyHref(keyId)} title={keyId}>
      <code>…{keyId.slice(-8)}</code>
    </a>
  );
}

export function keyHref(keyId: string): string {
  return hrefOf(["keys", keyId]);
}
