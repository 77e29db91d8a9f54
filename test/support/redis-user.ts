import { readFileSync } from "node:fs";

/** The user that we ship, with no more than it needs: its name and its rules. */
export function latchkeyUser(password: string): readonly string[] {
  const line = readFileSync(new URL("../../deploy/redis/latchkey.acl", import.meta.url), "utf8");
  return line.trim().replace("REPLACE_WITH_A_PASSWORD", password).split(" ").slice(1);
}
