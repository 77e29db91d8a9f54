import type { Socket } from "node:net";
import type { AnsweredCall } from "./messages.ts";
import type { ShadowLink } from "./shadow-link.ts";

/** Connections that are copied at a time. Envoy opens one for each of its workers. */
const MAX_CONNECTIONS = 64;

/** The connections whose bytes are copied to the shadow. Each is copied from its first byte, or not at all. */
export interface CopiedSockets {
  /** Must be called before the first byte is read. */
  readonly copy: (socket: Socket) => void;
  isCopied(socket: Socket): boolean;
  /** Reports a call that our own server has answered. False if the connection is not copied any more. */
  answered(socket: Socket, call: AnsweredCall): boolean;
  size(): number;
  /** The thread needs nothing more of these connections. */
  readonly forget: (ids: readonly number[]) => void;
  /** The thread has ended. */
  readonly forgetAll: () => void;
}

/** HTTP/2 has a state, so a connection that has lost one byte cannot be compared any more. */
export function createCopiedSockets(link: Pick<ShadowLink, "isUp" | "send">): CopiedSockets {
  const ids = new Map<Socket, number>();
  let lastId = 0;
  const drop = (socket: Socket, connection: number) => {
    ids.delete(socket);
    link.send({ kind: "dropped", connection });
  };
  return {
    copy(socket) {
      if (!link.isUp() || ids.size >= MAX_CONNECTIONS) return;
      const connection = ++lastId;
      ids.set(socket, connection);
      link.send({ kind: "opened", connection });
      socket.on("data", (chunk: Buffer) => {
        if (ids.get(socket) !== connection) return;
        if (!link.send({ kind: "bytes", connection, bytes: new Uint8Array(chunk) })) drop(socket, connection);
      });
      socket.on("close", () => {
        // Calls may still be decided. The thread says when it needs nothing more.
        if (ids.get(socket) === connection) link.send({ kind: "closed", connection });
      });
    },
    isCopied: (socket) => ids.has(socket),
    answered(socket, call) {
      const connection = ids.get(socket);
      if (connection === undefined) return false;
      const isSent = link.send({ kind: "answered", connection, call });
      if (!isSent) drop(socket, connection);
      return isSent;
    },
    size: () => ids.size,
    forget(finished) {
      if (finished.length === 0) return;
      const gone = new Set(finished);
      for (const [socket, id] of ids) if (gone.has(id)) ids.delete(socket);
    },
    forgetAll: () => ids.clear(),
  };
}
