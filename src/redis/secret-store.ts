import type { SecretStore } from "../config/secrets.ts";
import type { RedisClient } from "./client.ts";
import { redisKeys } from "./names.ts";

/** Stores generated secrets in Redis, so that all instances of a fleet share the first one. */
export function createSecretStore(client: RedisClient): SecretStore {
  return {
    async getOrCreate(name, fresh) {
      const place = redisKeys.secret(name);
      await client.command("SET", place, fresh, "NX");
      const value = await client.command("GET", place);
      if (typeof value !== "string") throw new Error(`${place} is not a text`);
      return { value, place: `Redis ${place}` };
    },
    async find(name) {
      const value = await client.command("GET", redisKeys.secret(name));
      return typeof value === "string" ? value : undefined;
    },
  };
}
