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

/** Whether two overrides of one subject give the same, whatever their versions are. */
export function givesTheSame(a: StoredOverride, b: StoredOverride): boolean {
  return a.expiresAt === b.expiresAt && contentText(a.content) === contentText(b.content);
}

/** The same text for the same content. */
export function contentText(content: OverrideContent | undefined): string {
  if (content === undefined) return "";
  const { plan, quotas, note } = content;
  return JSON.stringify([plan, quotas?.map(({ name, limit, extra }) => [name, limit, extra]), note]);
}
