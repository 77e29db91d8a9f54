import { readFileSync } from "node:fs";
import type { TestedRedis } from "./redis.ts";

/** The user that we ship, with no more than it needs. */
export async function addLatchkeyUser(redis: TestedRedis, password: string): Promise<void> {
  const line = readFileSync(new URL("../../deploy/redis/latchkey.acl", import.meta.url), "utf8");
  const rules = line.trim().replace("REPLACE_WITH_A_PASSWORD", password).split(" ").slice(1);
  const answer = await redis.cli("ACL", "SETUSER", ...rules);
  if (answer !== "OK") throw new Error(answer);
}
