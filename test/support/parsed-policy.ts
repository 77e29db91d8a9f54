import type { Policy } from "../../src/core/policy/policy.ts";
import { parsePolicy } from "../../src/policy/file.ts";

/** The policy of a file with this text. Throws the problems of the text. */
export function parsedPolicy(text: string): Policy {
  const parsed = parsePolicy({ text, fileName: "policy" });
  if (!parsed.ok) throw new Error(parsed.problems.join("\n"));
  return parsed.policy;
}
