import { normalisePath } from "../decision/path.ts";

/** Segments of a pattern: normalised literals, `*` for one segment, `**` (last only) for any number of segments. */
export type Pattern = readonly string[];

/** `why` is a message for the author of the policy. */
export function parsePattern(
  text: string,
): { readonly ok: true; readonly value: Pattern } | { readonly ok: false; readonly why: string } {
  const normal = normalisePath(text, "reject");
  if (!normal.ok || text.includes("?")) return { ok: false, why: `"${text}" is not a normalised path` };
  if (/%2a/i.test(text))
    return { ok: false, why: `in "${text}", %2A would be a *: a pattern cannot name this character` };
  const segments = normal.value.segments;
  for (const [index, segment] of segments.entries()) {
    if (segment === "**" && index !== segments.length - 1)
      return { ok: false, why: `in "${text}", ** is only allowed at the end` };
    if (segment.includes("*") && segment !== "*" && segment !== "**") {
      return { ok: false, why: `in "${text}", a * must be a whole segment` };
    }
  }
  return { ok: true, value: segments };
}
