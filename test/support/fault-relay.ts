import type { Socket } from "node:net";
import { connect, createServer } from "node:net";

/** What becomes of bytes on their way: all of it can be changed while connections are open. */
export type RelayFault =
  | { readonly kind: "pass" }
  /** Every byte later by so much, both ways. */
  | { readonly kind: "delay"; readonly ms: number }
  /** Connections stay open, and nothing comes through any more: neither bytes nor an end. */
  | { readonly kind: "black-hole" }
  /** What is open is reset, and whatever connects is reset at once. */
  | { readonly kind: "refuse" }
  /** Lets so many more bytes of the client through, then resets: in the middle of a command. */
  | { readonly kind: "cut"; readonly afterBytes: number }
  /** Lets so many more bytes of the server through, then resets: a reply without its end. */
  | { readonly kind: "truncate"; readonly afterBytes: number };

export interface FaultRelay {
  readonly port: number;
  set(fault: RelayFault): void;
  /** Leads elsewhere from now on, and resets what is open: a failover. */
  leadTo(port: number): void;
  /** Resets what is open, once; new connections pass. */
  reset(): void;
  close(): Promise<void>;
}

/** A TCP relay on loopback that breaks what goes through it, on command. */
export async function startFaultRelay(firstTarget: number): Promise<FaultRelay> {
  let targetPort = firstTarget;
  let fault: RelayFault = { kind: "pass" };
  let left = Number.POSITIVE_INFINITY;
  const sockets = new Set<Socket>();
  const resetAll = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const carry = (from: Socket, to: Socket, limited: RelayFault["kind"]) => {
    from.on("data", (bytes) => {
      if (fault.kind === "black-hole") return;
      if (fault.kind === "delay") {
        setTimeout(() => to.write(bytes), fault.ms);
        return;
      }
      if (fault.kind !== limited) {
        to.write(bytes);
        return;
      }
      to.write(bytes.subarray(0, left));
      left -= bytes.length;
      if (left <= 0) setImmediate(resetAll);
    });
    from.on("error", () => to.destroy());
    from.on("close", () => {
      sockets.delete(from);
      if (fault.kind !== "black-hole") to.destroy();
    });
  };
  const server = createServer((client) => {
    sockets.add(client);
    if (fault.kind === "refuse") {
      client.on("error", () => undefined);
      client.resetAndDestroy();
      return;
    }
    const target = connect(targetPort, "127.0.0.1");
    sockets.add(target);
    carry(client, target, "cut");
    carry(target, client, "truncate");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    set(next) {
      fault = next;
      left = next.kind === "cut" || next.kind === "truncate" ? next.afterBytes : Number.POSITIVE_INFINITY;
      if (next.kind === "refuse") resetAll();
    },
    leadTo(port) {
      targetPort = port;
      resetAll();
    },
    reset: resetAll,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      resetAll();
      await closed;
    },
  };
}
