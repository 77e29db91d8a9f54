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
 * Sends commands to one server, on a connection of their own. Resolves with their replies, errors included. Rejects with the
 * fault of the connection or of its credentials, as ioredis reports it.
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
  if (authenticated?.status === "rejected") throw fault ?? authenticated.reason;
  return replies.map((reply) => {
    if (reply.status === "fulfilled") return reply.value;
    if (reply.reason instanceof Error && reply.reason.name === "ReplyError") return reply.reason;
    throw fault ?? reply.reason;
  });
}
