import { Redis } from "ioredis";
import type { HostPort } from "../config/host-port.ts";
import type { ConnectorOptions } from "./connector.ts";
import { createConnector } from "./connector.ts";

export interface OneShotOptions extends Pick<ConnectorOptions, "tls"> {
  readonly username?: string;
  readonly password?: string;
  /** The server must respond within this time. */
  readonly timeoutMs: number;
}

/**
 * Sends commands to one server, on a connection of their own, and returns their replies. Rejects with the first fault, as
 * ioredis reports it.
 */
export async function askOnce(
  { host, port }: HostPort,
  { username, password, tls, timeoutMs }: OneShotOptions,
  commands: readonly (readonly [name: string, ...args: string[]])[],
): Promise<readonly unknown[]> {
  let fault: unknown;
  const redis = new Redis({
    Connector: createConnector({ locate: async () => ({ host, port }), ...(tls && { tls }) }),
    // ioredis then waits for the handshake of TLS.
    ...(tls && { tls: {} }),
    lazyConnect: true,
    connectTimeout: timeoutMs,
    commandTimeout: timeoutMs,
    retryStrategy: null,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    enableReadyCheck: false,
    disableClientInfo: true,
    reconnectOnError: null,
    protocol: 2,
  });
  redis.on("error", (error) => {
    fault ??= error;
  });
  const user = username === undefined ? [] : [username];
  const credentials = username === undefined && password === undefined ? [] : [...user, password ?? ""];
  const [authenticated, ...replies] = await Promise.allSettled([
    credentials.length === 0 ? undefined : redis.call("AUTH", ...credentials),
    ...commands.map(([name, ...args]) => redis.call(name, ...args)),
  ]);
  redis.disconnect();
  const failed = [authenticated, ...replies].find((result) => result?.status === "rejected");
  if (failed?.status === "rejected") throw fault ?? failed.reason;
  return replies.map((reply) => (reply.status === "fulfilled" ? reply.value : undefined));
}
