import { createHmac } from "node:crypto";
import { z } from "zod";
import { escapeUnsafe } from "../core/escape-text.ts";

/** Members of an audit line, besides those of the chain. */
export type AuditFields = Readonly<Record<string, unknown>>;

/** Where a chain stands. */
export interface ChainState {
  /** Names the chain: one an instance, across its restarts where it finds its state again. */
  readonly instance: string;
  /** Number of the last line; 0 before the first. */
  readonly n: number;
  /** HMAC of the last line. */
  readonly hmac: string;
}

/** By which the lines are found among others: the deployment guide greps for it. */
export const AUDIT_MARK = "API_AUDIT";

/** Makes lines, each sealed over itself and its predecessor under a key that whoever forges a line does not have. */
export function createAuditChain(key: string, first: ChainState) {
  let state = first;
  return {
    state: () => state,
    /** One line, without its end. */
    seal(fields: AuditFields): string {
      const n = state.n + 1;
      const sealed = { audit: AUDIT_MARK, instance: state.instance, n, ...fields, prev: state.hmac };
      const body = escapeUnsafe(JSON.stringify(sealed));
      const hmac = hmacOf(key, body);
      state = { instance: state.instance, n, hmac };
      return `${body.slice(0, -1)},"hmac":"${hmac}"}`;
    },
  };
}

export function hmacOf(key: string, body: string): string {
  return createHmac("sha256", key).update(body).digest("base64url");
}

const SEALED = /^(\{.*),"hmac":"([A-Za-z0-9_-]{43})"\}$/s;

export interface SealedLine extends ChainState {
  readonly prev: string;
  /** In a line about files that were dropped: where the chains stood at their ends. */
  readonly droppedTo: readonly ChainState[];
  /** All members, those of the chain among them. */
  readonly members: AuditFields;
}

/** The kind of the line that says which files were dropped. */
export const DROPPED_KIND = "dropped" as const;

const droppedChains = z.array(z.object({ instance: z.string(), n: z.int(), hmac: z.string() }));

/** A line that was sealed under this key; undefined for one that was not, or was changed. */
export function verifySealedLine(key: string, line: string): SealedLine | undefined {
  const [, body, hmac] = SEALED.exec(line) ?? [];
  if (body === undefined || hmac === undefined || hmacOf(key, `${body}}`) !== hmac) return undefined;
  const value: unknown = JSON.parse(`${body}}`);
  if (typeof value !== "object" || value === null) return undefined;
  const members: AuditFields = { ...value };
  const { instance, n, prev } = { instance: "", n: 0, prev: "", ...value };
  if (typeof instance !== "string" || !Number.isSafeInteger(n) || typeof prev !== "string") return undefined;
  const dropped = members["kind"] === DROPPED_KIND ? droppedChains.safeParse(members["chains"]) : undefined;
  return { instance, n, prev, hmac, members, droppedTo: dropped?.data ?? [] };
}
