import { normalisePath } from "../decision/path.ts";

/** Segments of a pattern: literals in normal form, `*` for one segment, `**` (last only) for the rest or nothing. */
export type Pattern = readonly string[];

/** Parses a pattern, or says in words what is wrong with it. */
export function parsePattern(
  text: string,
): { readonly ok: true; readonly value: Pattern } | { readonly ok: false; readonly why: string } {
  const normal = normalisePath(text, "reject");
  if (!normal.ok || text.includes("?")) return { ok: false, why: `"${text}" is not a path in plain form` };
  const segments = normal.value.segments;
  for (const [index, segment] of segments.entries()) {
    if (segment === "**" && index !== segments.length - 1)
      return { ok: false, why: `in "${text}", ** may only stand at the end` };
    if (segment.includes("*") && segment !== "*" && segment !== "**") {
      return { ok: false, why: `in "${text}", a * stands for one whole segment` };
    }
  }
  return { ok: true, value: segments };
}

/** Whether some path fits both. */
export function overlaps(a: Pattern, b: Pattern): boolean {
  for (let depth = 0; ; depth++) {
    const x = a[depth];
    const y = b[depth];
    if (x === "**" || y === "**") return true;
    if (x === undefined || y === undefined) return x === y;
    if (x !== "*" && y !== "*" && x !== y) return false;
  }
}

/** Negative when a is the closer of two overlapping patterns: the first difference decides, as the look-up does. */
export function comparePatterns(a: Pattern, b: Pattern): number {
  const rank = (segment: string | undefined) =>
    segment === undefined ? 0 : segment === "**" ? 3 : segment === "*" ? 2 : 1;
  for (let depth = 0; depth < Math.max(a.length, b.length); depth++) {
    const difference = rank(a[depth]) - rank(b[depth]);
    if (difference !== 0) return difference;
  }
  return 0;
}
