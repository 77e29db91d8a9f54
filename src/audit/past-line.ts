import { AUDIT_MARK } from "./chain.ts";
import type { PastRequest } from "./replay.ts";
import { readPastRequest } from "./replay.ts";

/** One line of an audit log, as far as a replay needs it. */
export type PastLine =
  | { readonly kind: "request"; readonly request: PastRequest }
  /** Requests without a line, because the queue of the log was full. */
  | { readonly kind: "gap"; readonly lines: number }
  /** A line about something else, or a line that is not JSON. */
  | { readonly kind: "other" | "invalid" };

/** Parses a line of an audit log. Undefined stands for a line that is too long. */
export function readPastLine(text: string | undefined): PastLine {
  if (text === undefined) return { kind: "invalid" };
  if (text.trim() === "") return { kind: "other" };
  try {
    const fields: unknown = JSON.parse(text);
    if (typeof fields !== "object" || fields === null || Array.isArray(fields)) return { kind: "invalid" };
    const { audit, kind, lines } = { audit: undefined, kind: undefined, lines: 0, ...fields };
    if (audit !== AUDIT_MARK) return { kind: "other" };
    if (kind === "gap") return { kind, lines: Number(lines) || 0 };
    if (kind !== "request") return { kind: "other" };
    const request = readPastRequest(fields);
    return request === undefined ? { kind: "invalid" } : { kind, request };
  } catch {
    return { kind: "invalid" };
  }
}
