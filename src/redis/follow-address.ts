import type { RedisClient, RedisOptions } from "./client.ts";
import { connectRedis } from "./client.ts";
import type { OneServer } from "./one-server.ts";
import { createOneServer } from "./one-server.ts";

/**
 * Looks where the address leads now, by a connection of its own. Where that is another primary than the one that the
 * instance talks to, all its connections end and are made anew: they might stay open for ever, away from everybody else.
 * Rejects when nothing that counts is there.
 */
export async function followAddress(
  place: Omit<RedisOptions, "server"> & { readonly server: OneServer },
  client: RedisClient,
): Promise<void> {
  const probe = await connectRedis({ ...place, server: createOneServer() });
  const [there, here] = [probe.runId(), client.runId()];
  await probe.close();
  if (there && here && there !== here) place.server.abandon();
}
