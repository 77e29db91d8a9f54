import { hash } from "node:crypto";
import type { DescriptorEntry, DescriptorLimit } from "../core/limits/descriptor-limits.ts";
import type { DescriptorDemand } from "../core/limits/ports.ts";
import type { Calendars } from "../core/quotas/calendar.ts";

/** The bucket or the counter of exactly these entries. */
export function descriptorDemand(
  domain: string,
  entries: readonly DescriptorEntry[],
  found: Exclude<DescriptorLimit, { kind: "unlimited" }>,
  calendars: Calendars,
): DescriptorDemand {
  const subject = hashOf(domain, entries);
  // The name of a role contains no slash.
  if (found.kind === "bucket")
    return { buckets: [{ bucketId: `rls/${subject}`, limit: found.limit }], quotas: [] };
  const { quota } = found;
  // No subject of a key's quota is called "rls". A unit has counters of its own, because its windows are others.
  const counterId = `quota/rls:${quota.every}:${subject}`;
  const demand = {
    counterId,
    holderId: `${quota.limit} ${counterId}`,
    quota,
    subject,
    mode: "enforce" as const,
    calendar: calendars(quota),
    extra: undefined,
  };
  return { buckets: [], quotas: [demand] };
}

/** Values of clients are hashed, each with its length, so that none of them becomes a part of a name or another list of entries. */
function hashOf(domain: string, entries: readonly DescriptorEntry[]): string {
  let text = withLength(domain);
  for (const { key, value } of entries) text += withLength(key) + withLength(value);
  return hash("sha256", text, "hex");
}

function withLength(text: string): string {
  return `${Buffer.byteLength(text)}:${text}`;
}
