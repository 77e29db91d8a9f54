import type { KeyFilter, KeyStatus } from "../../../client/types.ts";

/** What the search form says, as texts of the URL. Empty texts filter nothing. */
export interface Search {
  readonly text: string;
  readonly status: string;
  readonly role: string;
  readonly plan: string;
  readonly owner: string;
  /** A date of the browser's zone. */
  readonly expires: string;
  /** A date of the browser's zone. */
  readonly unused: string;
}

export const STATUSES = [
  "active",
  "superseded",
  "disabled",
  "revoked",
  "expired",
] as const satisfies readonly KeyStatus[];

export function searchOf(query: URLSearchParams): Search {
  const text = (name: string) => query.get(name) ?? "";
  return {
    text: text("text"),
    status: text("status"),
    role: text("role"),
    plan: text("plan"),
    owner: text("owner"),
    expires: text("expires"),
    unused: text("unused"),
  };
}

export function isEmptySearch(search: Search): boolean {
  return Object.values(search).every((text) => text === "");
}

type Filter = Omit<KeyFilter, "cursor" | "limit">;

/** A whole family id and an owner have an index. Every other text is searched for in all keys. */
export function filterOf({ text, status, role, plan, owner, expires, unused }: Search): Filter {
  const wanted = text.trim();
  const known = STATUSES.find((candidate) => candidate === status);
  const [expiringBefore, unusedSince] = [instantOf(expires), instantOf(unused)];
  return {
    ...(wanted !== "" && (isFamily(wanted) ? { family: wanted } : { search: wanted })),
    ...(known !== undefined && { status: known }),
    ...(role !== "" && { role }),
    ...(plan !== "" && { plan }),
    ...(owner.trim() !== "" && { owner: owner.trim() }),
    ...(expiringBefore !== undefined && { expiring_before: expiringBefore }),
    ...(unusedSince !== undefined && { unused_since: unusedSince }),
  };
}

function isFamily(text: string): boolean {
  return /^fam_[A-Za-z0-9]{16,32}$/.test(text);
}

export function isKeyId(text: string): boolean {
  return /^[A-Za-z][A-Za-z0-9_-]{0,63}_\d{1,12}_[A-Za-z0-9]{16,32}$/.test(text);
}

/** Whether a text is, or begins like, a key instead of the id of one. */
export function looksLikeKey(text: string): boolean {
  return /^\s*eyJ[\w-]{10}/.test(text);
}

/** The id in a key, read here: the key is sent nowhere. Undefined for any other text. */
export function idInKey(key: string): string | undefined {
  try {
    const payload = key.trim().split(".")[1] ?? "";
    const claims: unknown = JSON.parse(atob(payload.replaceAll("-", "+").replaceAll("_", "/")));
    const jti = typeof claims === "object" && claims !== null && "jti" in claims ? claims.jti : undefined;
    return typeof jti === "string" && isKeyId(jti) ? jti : undefined;
  } catch {
    return undefined;
  }
}

/** The start of a date in the browser's zone, as RFC 3339; undefined for any other text. */
function instantOf(date: string): string | undefined {
  const start = new Date(`${date}T00:00`);
  return /^\d{4}-\d{2}-\d{2}$/.test(date) && !Number.isNaN(start.getTime()) ? start.toISOString() : undefined;
}

/** The date this number of days from now, in the browser's zone. */
export function dateInDays(days: number, nowMs: number): string {
  const date = new Date(nowMs);
  date.setDate(date.getDate() + days);
  const part = (value: number) => String(value).padStart(2, "0");
  return `${date.getFullYear()}-${part(date.getMonth() + 1)}-${part(date.getDate())}`;
}
