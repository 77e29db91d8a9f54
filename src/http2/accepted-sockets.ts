import { once } from "node:events";
import type { Socket } from "node:net";
import { createUnidentifiedConnections } from "../core/limits/unidentified-connections.ts";

/** The open sockets of a server, those in a TLS handshake included. */
export interface AcceptedSockets {
  /** @param socket the one below TLS */
  add(socket: Socket): void;
  /**
   * The client of this connection has sent SETTINGS.
   * @param socket the one above TLS, if the listener has TLS
   */
  onEstablished(socket: Socket): void;
  destroyAll(): void;
  /** Resolves when all sockets are closed that are open now. */
  allClosed(): Promise<unknown>;
}

/**
 * A quarter of the sockets may belong to clients that have not sent SETTINGS. Above that, one of those is destroyed.
 * @param maxSockets a multiple of 4
 * @param evictOne called with each socket that takes the last place, so that one place stays free for the next client
 */
export function createAcceptedSockets(maxSockets: number, evictOne: () => void): AcceptedSockets {
  const sockets = new Set<Socket>();
  const unidentified = createUnidentifiedConnections<Socket>(maxSockets / 4, (socket) => socket.destroy());
  return {
    add(socket) {
      const peer = peerOf(socket);
      sockets.add(socket);
      unidentified.add(peer, socket, socket.remoteAddress ?? "");
      socket.on("close", () => {
        sockets.delete(socket);
        unidentified.remove(peer);
      });
      if (sockets.size >= maxSockets) evictOne();
    },
    onEstablished: (socket) => unidentified.remove(peerOf(socket)),
    destroyAll() {
      for (const socket of sockets) socket.destroy();
    },
    allClosed: () => Promise.all(Array.from(sockets, (socket) => socket.closed || once(socket, "close"))),
  };
}

/** Identifies a connection both below TLS and above it. A Unix socket has no port, and no TLS. */
function peerOf(socket: Socket): unknown {
  return socket.remotePort === undefined ? socket : `${socket.remoteAddress} ${socket.remotePort}`;
}
