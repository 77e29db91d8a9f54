import type { Transport } from "./transport.ts";
import type { AuditEvents, AuditQuery, AuditVerification } from "./types.ts";

/** Which events an export has. */
export type AuditExportFilter = Omit<AuditQuery, "after" | "before" | "order" | "limit">;

/** Events per page: the largest page of the API. */
const PAGE_SIZE = 500;

/** The calls about the audit events and the audit log. */
export function auditCalls({ json, open }: Transport) {
  const path = "/api/admin/audit";
  return {
    audit: (query: AuditQuery = {}) => json<AuditEvents>({ method: "GET", path, query }),
    /** The events that match the filter, newest first, in pieces of one document. CSV begins with the names of its columns. */
    async *auditExport(filter: AuditExportFilter, format: "csv" | "ndjson"): AsyncGenerator<string> {
      const accept = format === "csv" ? "text/csv" : "application/x-ndjson";
      let before: string | undefined;
      let isFirst = true;
      do {
        const query = { ...filter, order: "newest", limit: PAGE_SIZE, before } as const;
        const response = await open({ method: "GET", path, query, accept });
        const text = await response.text();
        // Each page of CSV has the line of names.
        yield isFirst || format === "ndjson" ? text : text.slice(text.indexOf("\n") + 1);
        isFirst = false;
        before = previousCursor(response.headers.get("link"));
      } while (before !== undefined);
    },
    /** The verification of the audit log that one instance writes. */
    auditVerification: {
      show: () => json<AuditVerification>({ method: "GET", path: `${path}/verification` }),
      /** Starts a run, unless one is running. */
      start: () => json<AuditVerification>({ method: "POST", path: `${path}/verification` }),
    },
  };
}

/** From a `Link` header (RFC 8288). */
function previousCursor(link: string | null): string | undefined {
  const [, target] = /<([^>]*)>; rel="prev"/.exec(link ?? "") ?? [];
  return new URLSearchParams(target?.split("?")[1]).get("before") ?? undefined;
}
