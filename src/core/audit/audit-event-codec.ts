import type { AuditEvent } from "./audit-event.ts";

/** Decodes a stored event. A damaged event becomes a `damaged` event instead of being skipped. */
export function decodeEvent(text: string): AuditEvent {
  try {
    const value: unknown = JSON.parse(text);
    if (isEvent(value)) return value;
  } catch {
    // Returns `damaged` below.
  }
  return { eventId: "damaged", atMs: 0, event: "damaged", outcome: "refused", actor: "unknown" };
}

function isEvent(value: unknown): value is AuditEvent {
  return (
    typeof value === "object" &&
    value !== null &&
    "eventId" in value &&
    typeof value.eventId === "string" &&
    "atMs" in value &&
    typeof value.atMs === "number" &&
    "event" in value &&
    typeof value.event === "string"
  );
}
