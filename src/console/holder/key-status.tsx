import type { Key } from "../../client/types.ts";
import { Badge } from "../parts/badge.tsx";
import type { Tone } from "../parts/notice.tsx";

const TONES: Readonly<Record<Key["status"], Tone>> = {
  active: "good",
  superseded: "warn",
  disabled: "warn",
  revoked: "bad",
  expired: "neutral",
};

/** Whether the key works, or could work again. */
export function isLive({ status, superseded_from }: Key): boolean {
  if (status === "superseded") return superseded_from !== null && Date.parse(superseded_from) > Date.now();
  return status === "active" || status === "disabled";
}

export function KeyStatusBadge({ value }: { readonly value: Key }) {
  const { status } = value;
  if (status !== "superseded") return <Badge tone={TONES[status]}>{status}</Badge>;
  return isLive(value) ? (
    <Badge tone="warn">replaced, still valid</Badge>
  ) : (
    <Badge tone="neutral">replaced</Badge>
  );
}
