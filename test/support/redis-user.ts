import { readFileSync } from "node:fs";

/** The name and the rules of the shipped user, which has the minimum of rights. */
export function latchkeyUser(password: string): readonly string[] {
  const line = readFileSync(new URL("../../deploy/redis/latchkey.acl", import.meta.url), "utf8");
  return line.trim().replace("REPLACE_WITH_A_PASSWORD", password).split(" ").slice(1);
}
