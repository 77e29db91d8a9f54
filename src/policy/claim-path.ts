import { z } from "zod";
import type { ClaimPath } from "../core/policy/claims.ts";

const memberName = z.string().min(1).max(200);
/**
 * A claim's name, or a path of names separated by dots. A claim with the whole text as its name wins, because claim names
 * with dots are usually URLs. For names with dots inside a path: a list of names, or a JSON Pointer (RFC 6901).
 */
export const claim = z
  .union(
    [memberName, z.array(memberName).min(1).max(8)],
    "must be a claim, a path with dots, a list of names, or a JSON Pointer such as /a/b",
  )
  .transform((where, context): ClaimPath => {
    if (typeof where !== "string") return [where];
    if (where.startsWith("/")) {
      if (/~(?![01])/.test(where)) context.addIssue("is no JSON Pointer: ~ is written ~0, and / ~1");
      return [pointerNames(where)];
    }
    return where.includes(".") ? [[where], where.split(".")] : [[where]];
  });

function pointerNames(pointer: string): readonly string[] {
  const names = pointer.slice(1).split("/");
  return names.map((name) => name.replaceAll("~1", "/").replaceAll("~0", "~"));
}
