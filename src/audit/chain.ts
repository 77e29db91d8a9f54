import { createHmac } from "node:crypto";
import { z } from "zod";
import { escapeUnsafe } from "../core/escape-text.ts";

/** The members of an audit line, without those of the chain. */
export type AuditFields = Readonly<Record<string, unknown>>;

/** The position of a chain. */
export interface ChainState {
  /** The name of the chain. An instance keeps one chain across restarts if it finds its state. */
  readonly instance: string;
  /** The number of the last line, or 0 before the first line. */
  readonly n: number;
  /** The HMAC of the last line. */
  readonly hmac: string;
}

/** Marks audit lines on standard output. The deployment guide greps for it. */
export const AUDIT_MARK = "API_AUDIT";

/** Seals lines with an HMAC over the line and its predecessor. Only holders of the key can forge a line. */
export function createAuditChain(key: string, first: ChainState) {
  let state = first;
  return {
    state: () => state,
    /** One line, without its line break. */
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
  /** In a line about dropped files: the positions of the chains at the end of those files. */
  readonly droppedTo: readonly ChainState[];
  /** All members, including those of the chain. */
  readonly members: AuditFields;
}

/** The kind of a line about dropped files. */
export const DROPPED_KIND = "dropped" as const;

const droppedChains = z.array(z.object({ instance: z.string(), n: z.int(), hmac: z.string() }));

/** Verifies a line. Returns undefined if it was not sealed under this key, or was changed. */
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
