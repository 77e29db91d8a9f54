import { hasExtraUnits } from "../../../client/extra-units.ts";
import type { AppliedOverride, LimitOverride } from "../../../client/types.ts";
import type { Subject } from "./subject.ts";
import { subjectOf } from "./subject.ts";

/** An override as a person fills it in. */
export interface Draft extends Subject {
  readonly plan: string;
  readonly quotas: readonly DraftQuota[];
  readonly note: string;
  /** Local: `2027-01-15T12:00`. */
  readonly expiresAt: string;
}

export interface DraftQuota {
  readonly name: string;
  readonly limit: string;
  readonly extra: string;
}

export const NEW_DRAFT: Draft = {
  scope: "owner",
  name: "",
  plan: "",
  quotas: [],
  note: "",
  expiresAt: "",
};

/** Extra units whose window is over are left out: a change would grant them again. */
export function draftOf(override: AppliedOverride, nowMs: number): Draft {
  const { plan, quotas, note, expires_at: expiresAt } = override;
  return {
    ...subjectOf(override),
    plan: plan ?? "",
    quotas: (quotas ?? []).map((quota) => ({
      name: quota.name,
      limit: String(quota.limit),
      extra: hasExtraUnits(quota, nowMs) ? String(quota.extra) : "",
    })),
    note: note ?? "",
    expiresAt: expiresAt === null ? "" : localTime(expiresAt),
  };
}

/** The override, or a sentence that says how to correct the draft. The API checks the rest. */
export function toOverride(draft: Draft, nowMs: number): LimitOverride | string {
  const { name, plan, quotas, note, expiresAt } = draft;
  if (name.trim() === "") return "Name the owner or the family.";
  if (plan === "" && quotas.length === 0) return "Choose a plan, or add a quota.";
  if (quotas.some(({ limit, extra }) => !isUnits(limit) || (extra !== "" && !isUnits(extra))))
    return "Limits and extra units are whole numbers, such as 10000.";
  if (new Set(quotas.map((quota) => quota.name)).size < quotas.length) return "Name each quota once.";
  const endMs = Date.parse(expiresAt);
  if (expiresAt !== "" && !(endMs > nowMs)) return "Choose an end in the future, or leave it empty.";
  return {
    ...(plan !== "" && { plan }),
    ...(quotas.length > 0 && { quotas: quotas.map(toQuota) }),
    ...(note.trim() !== "" && { note: note.trim() }),
    ...(expiresAt !== "" && { expires_at: new Date(endMs).toISOString() }),
  };
}

function toQuota({ name, limit, extra }: DraftQuota) {
  return { name, limit: Number(limit), ...(extra !== "" && { extra: Number(extra) }) };
}

function isUnits(text: string): boolean {
  return /^\d{1,13}$/.test(text);
}

/** For an input of the type `datetime-local`, in the zone of the browser. With seconds, so that a change does not move the end. */
function localTime(at: string): string {
  const date = new Date(at);
  const local = new Date(date.getTime() - date.getTimezoneOffset() * 60_000);
  return local.toISOString().slice(0, 19).replace(/:00$/, "");
}
