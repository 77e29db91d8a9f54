import type { SecretStore } from "../config/secrets.ts";
import type { RedisClient } from "./client.ts";

/** Stores generated secrets in Redis, so that all instances of a fleet share the first one. */
export function createSecretStore(client: RedisClient): SecretStore {
  return {
    async getOrCreate(name, fresh) {
      const place = client.keys.secret(name);
      await client.command("SET", place, fresh, "NX");
      const value = await client.command("GET", place);
      if (typeof value !== "string") throw new Error(`${place} is not a text`);
      return { value, place: `Redis ${place}` };
    },
    async find(name) {
      const value = await client.command("GET", client.keys.secret(name));
      return typeof value === "string" ? value : undefined;
    },
  };
}
