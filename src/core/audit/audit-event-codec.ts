import type { AuditEvent } from "./audit-event.ts";

/** Reads what a store has kept of an event; an event that cannot be read is told as such, never passed over. */
export function decodeEvent(text: string): AuditEvent {
  try {
    const value: unknown = JSON.parse(text);
    if (isEvent(value)) return value;
  } catch {
    // Told below.
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
