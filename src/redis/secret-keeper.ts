import type { RedisClient } from "./client.ts";
import { redisKeys } from "./names.ts";

/** Keeps a secret that an instance has made, so that its fleet shares it: the first one stays. */
export function createRedisKeeper(client: RedisClient) {
  return {
    async getOrCreate(
      name: string,
      fresh: string,
    ): Promise<{ readonly value: string; readonly place: string }> {
      const place = redisKeys.secret(name);
      await client.command("SET", place, fresh, "NX");
      const value = await client.command("GET", place);
      if (typeof value !== "string") throw new Error(`${place} is no text`);
      return { value, place: `Redis ${place}` };
    },
    async find(name: string): Promise<string | undefined> {
      const value = await client.command("GET", redisKeys.secret(name));
      return typeof value === "string" ? value : undefined;
    },
  };
}
