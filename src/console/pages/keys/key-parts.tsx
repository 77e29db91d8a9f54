import type { Key, KeyStatus } from "../../../client/types.ts";
import { Badge } from "../../parts/badge.tsx";
import type { Tone } from "../../parts/notice.tsx";
import { hrefOf } from "../../shell/route.ts";

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

export function keyHref(keyId: string): string {
  return hrefOf(["keys", keyId]);
}

/** Whether Checks accept the key. */
export function isLive({ status, superseded_from: until }: Key, nowMs: number): boolean {
  return status === "active" || (status === "superseded" && until !== null && nowMs < Date.parse(until));
}
