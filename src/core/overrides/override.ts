import { NEVER } from "../keys/key-record.ts";

/** Whose limits an override changes: a family, or all families of an owner. */
export interface OverrideSubject {
  readonly scope: "owner" | "family";
  readonly subject: string;
}

/** The limit of one quota for this subject. */
export interface OverrideQuota {
  /** The name of a quota of the policy. */
  readonly name: string;
  /** Units per window: 0 to 10^12. */
  readonly limit: number;
  /** Units on top of the limit, once, in the window in which the override was made: 0 to 10^12. */
  readonly extra: number;
}

/** What a subject gets instead of what its keys and roles say. */
export interface OverrideContent {
  readonly plan?: string;
  /** Replaces the whole list of quotas. */
  readonly quotas?: readonly OverrideQuota[];
  /** A text for people. */
  readonly note?: string;
}

/** An override as stores and instances keep it. */
export interface StoredOverride extends OverrideSubject {
  readonly kind: "override";
  /** Milliseconds of the store's clock at the change, or later. A higher version replaces a lower one. */
  readonly version: number;
  /** NumericDate from which it does not apply; absent: it applies until it is changed. */
  readonly expiresAt?: number;
  /** Absent: the override was cleared. The entry then only replaces older versions. */
  readonly content?: OverrideContent;
}

/**
 * A cleared or expired override is kept for this long, so that an instance that still has the older version cannot write that
 * back. An instance that has received nothing for longer discards its overrides.
 */
export const KEEP_CLEARED_SECONDS = 30 * 86_400;

/** NumericDate from which nothing needs the entry. */
export function forgetAt({ version, expiresAt, content }: StoredOverride): number {
  if (content === undefined) return Math.floor(version / 1000) + KEEP_CLEARED_SECONDS;
  return expiresAt === undefined ? NEVER : expiresAt + KEEP_CLEARED_SECONDS;
}

/** Whether an override is neither cleared nor expired. */
export function isInForce({ content, expiresAt }: StoredOverride, nowMs: number): boolean {
  return content !== undefined && (expiresAt === undefined || nowMs < expiresAt * 1000);
}
