import type { AuditEventName } from "../audit/audit-event.ts";
import type { CommitDeps } from "./commit.ts";
import { commit, commitUnconditionally, retryOnConflict } from "./commit.ts";
import type { AuditDeps, CallOrigin } from "./operation-audit.ts";
import { auditEvent } from "./operation-audit.ts";
import type { RememberedCallReader } from "./ports.ts";

/** Ends sessions of the console for all instances. */
export type SessionEndDeps = CommitDeps & AuditDeps;

/** Uses one-time links of the console. */
export type LinkDeps = CommitDeps & AuditDeps & { readonly store: RememberedCallReader };

/**
 * Ends a session before its own end. A session has an id of the form of a key id, so the revocation feed takes its end to every
 * instance as it does for a key without a record.
 * @param expiresAt NumericDate of the session's own end, after which no instance needs to know
 */
export function endSession(
  deps: SessionEndDeps,
  session: { readonly sessionId: string; readonly expiresAt: number },
  origin: CallOrigin,
): Promise<void> {
  return commitUnconditionally(deps, () => ({
    put: [],
    end: {
      kind: "key",
      keyId: session.sessionId,
      version: Math.floor(deps.storeClock.storeNowMs()),
      expiresAt: session.expiresAt,
      revoked: true,
      disabled: false,
    },
    audit: [auditEvent(deps, origin, "console_signed_out", {})],
  }));
}

/**
 * Uses a link. Of two calls at the same time, on any instances, one gets false, because the store remembers a call only once.
 * @param until NumericDate of the link's end
 */
export function useLink(
  deps: LinkDeps,
  link: {
    readonly linkId: string;
    readonly until: number;
    readonly event?: Extract<AuditEventName, "console_link_used" | "person_signed_in">;
  },
  origin: CallOrigin,
): Promise<boolean> {
  const id = `console-link:${link.linkId}`;
  return retryOnConflict<boolean>(async () => {
    const nowSeconds = Math.floor(deps.storeClock.storeNowMs() / 1000);
    if ((await deps.store.recall(id, nowSeconds)) !== undefined) return false;
    const outcome = await commit(deps, {
      put: [],
      // The store's clock may be behind: the link must not be forgotten before it ends.
      remember: { id, bodyDigest: "console-link", keyId: link.linkId, until: link.until + REMEMBERED_LONGER },
      audit: [auditEvent(deps, origin, link.event ?? "console_link_used", {})],
    });
    return outcome.kind === "committed" ? true : "conflict";
  });
}

const REMEMBERED_LONGER = 60;
