import type { NetConnectOpts, Socket as NetSocket } from "node:net";
import { connect as connectTcp, Socket } from "node:net";
import type { ConnectionOptions } from "node:tls";
import { connect as connectTls } from "node:tls";
import { AbstractConnector } from "ioredis";

/** The address of one server: TCP or a Unix socket. */
export type Endpoint = { readonly host: string; readonly port: number } | { readonly path: string };

export interface ConnectorOptions {
  /** Called for each connection. A rejection counts as a failed connection, which is tried again. */
  readonly locate: () => Promise<Endpoint>;
  /** Called for each connection. Absent: clear text. */
  readonly tls?: () => ConnectionOptions;
}

/**
 * Makes the class by which ioredis opens its sockets. The connector of ioredis for Sentinels is not used: it reports a name
 * that no Sentinel knows as unreachable Sentinels, and it never reports a failed attempt as the end of a connection.
 */
export function createConnector({ locate, tls }: ConnectorOptions): new () => AbstractConnector {
  return class extends AbstractConnector {
    constructor() {
      // No command is pending when a connection is ended, so there is nothing to wait for.
      super(0);
    }

    override async connect(): Promise<NetSocket> {
      this.connecting = true;
      try {
        const endpoint = await locate();
        if (!this.connecting) throw new Error("the connection was closed");
        delete this.firstError;
        const stream = openSocket(endpoint, tls?.());
        stream.once("error", (error) => {
          this.firstError = error;
        });
        this.stream = stream;
        return stream;
      } catch (error) {
        // ioredis treats a destroyed socket like a connection that failed with this error.
        this.firstError = error instanceof Error ? error : new Error(String(error));
        const stream = new Socket().destroy();
        this.stream = stream;
        return stream;
      }
    }
  };
}

function openSocket(endpoint: Endpoint, tls: ConnectionOptions | undefined): NetSocket {
  const where: NetConnectOpts & ConnectionOptions = { ...endpoint };
  return tls === undefined ? connectTcp(where) : connectTls({ ...tls, ...where });
}
