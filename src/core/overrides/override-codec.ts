import type { OverrideContent, OverrideQuota, StoredOverride } from "./override.ts";

/**
 * Encodes an override as one line of text: `["o", version, scope, subject, expiry or 0, content]`. The version comes first, so
 * that a store can set it without decoding the rest. A cleared override has no content.
 */
export function encodeOverride({ version, scope, subject, expiresAt, content }: StoredOverride): string {
  const head = ["o", version, scope === "family" ? "f" : "o", subject, expiresAt ?? 0];
  return JSON.stringify(content === undefined ? head : [...head, wireOf(content)]);
}

/** Decodes the parts after the kind; undefined for damaged parts. */
export function decodeOverride(parts: readonly unknown[]): StoredOverride | undefined {
  const [version, scope, subject, expiry, wire] = parts;
  if (!isCount(version) || typeof subject !== "string" || !isCount(expiry)) return undefined;
  if (scope !== "f" && scope !== "o") return undefined;
  const content = wire === undefined ? undefined : contentOf(wire);
  if (wire !== undefined && content === undefined) return undefined;
  return {
    kind: "override",
    scope: scope === "f" ? "family" : "owner",
    subject,
    version,
    ...(expiry === 0 ? {} : { expiresAt: expiry }),
    ...(content === undefined ? {} : { content }),
  };
}

function wireOf({ plan, quotas, note }: OverrideContent) {
  return {
    ...(plan === undefined ? {} : { p: plan }),
    ...(quotas === undefined ? {} : { q: quotas.map(({ name, limit, extra }) => [name, limit, extra]) }),
    ...(note === undefined ? {} : { n: note }),
  };
}

function contentOf(wire: unknown): OverrideContent | undefined {
  if (typeof wire !== "object" || wire === null || Array.isArray(wire)) return undefined;
  const {
    p: plan,
    q: list,
    n: note,
  }: { readonly p?: unknown; readonly q?: unknown; readonly n?: unknown } = wire;
  const quotas = list === undefined ? undefined : quotasOf(list);
  if (list !== undefined && quotas === undefined) return undefined;
  if (!isOptionalText(plan) || !isOptionalText(note)) return undefined;
  return {
    ...(plan === undefined ? {} : { plan }),
    ...(quotas === undefined ? {} : { quotas }),
    ...(note === undefined ? {} : { note }),
  };
}

function quotasOf(list: unknown): readonly OverrideQuota[] | undefined {
  if (!Array.isArray(list)) return undefined;
  const quotas = list.flatMap((entry: unknown) => {
    const [name, limit, extra]: readonly unknown[] = Array.isArray(entry) ? entry : [];
    return typeof name === "string" && isCount(limit) && isCount(extra) ? [{ name, limit, extra }] : [];
  });
  return quotas.length === list.length ? quotas : undefined;
}

function isOptionalText(value: unknown): value is string | undefined {
  return value === undefined || typeof value === "string";
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
