import type { AuditFields } from "./chain.ts";

/** Returns a function that adds time and kind to the members of a line. Under load many lines have one time, so its text is kept. */
export function createTimed(): (atMs: number, kind: string, fields: AuditFields) => AuditFields {
  let lastMs = Number.NaN;
  let text = "";
  return (atMs, kind, fields) => {
    if (atMs !== lastMs) {
      text = new Date(atMs).toISOString();
      lastMs = atMs;
    }
    return { time: text, kind, ...fields };
  };
}
