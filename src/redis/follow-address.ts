import type { RedisClient, RedisOptions } from "./client.ts";
import { connectRedis } from "./client.ts";
import type { OneServer } from "./one-server.ts";
import { createOneServer } from "./one-server.ts";

/**
 * Checks with a separate connection where the address leads now. If it leads to another primary, all connections of the
 * instance are ended and made again. Otherwise they might stay open on the old server for ever. Rejects if the address leads
 * to no usable primary.
 */
export async function followAddress(
  address: Omit<RedisOptions, "server"> & { readonly server: OneServer },
  client: RedisClient,
): Promise<void> {
  const probe = await connectRedis({ ...address, server: createOneServer() });
  const [there, here] = [probe.runId(), client.runId()];
  await probe.close();
  if (there && here && there !== here) address.server.abandon();
}
