import { readFileSync } from "node:fs";

/** The name and the rules of the shipped user, which has the minimum of rights. */
export function latchkeyUser(password: string): readonly string[] {
  return shippedUser("latchkey.acl", password);
}

/** The same for the nodes of a Cluster. */
export function clusterUser(password: string): readonly string[] {
  return shippedUser("cluster.acl", password);
}

/** The same for Sentinels. */
export function sentinelUser(password: string): readonly string[] {
  return shippedUser("sentinel.acl", password);
}

function shippedUser(file: string, password: string): readonly string[] {
  const line = readFileSync(new URL(`../../deploy/redis/${file}`, import.meta.url), "utf8");
  return line.trim().replace("REPLACE_WITH_A_PASSWORD", password).split(" ").slice(1);
}
