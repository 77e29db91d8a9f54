import type { Socket } from "node:net";
import { connect, createServer } from "node:net";

/** What becomes of bytes on their way: all of it can be changed while connections are open. */
export type RelayFault =
  | { readonly kind: "pass" }
  /** Every byte later by so much, both ways. */
  | { readonly kind: "delay"; readonly ms: number }
  /**
   * Connections stay open, and nothing comes through any more: neither bytes nor an end. What was open then, or was
   * opened meanwhile, stays so when the fault is over: somebody on the way has forgotten it.
   */
  | { readonly kind: "black-hole" }
  /** What is open is reset, and whatever connects is reset at once. */
  | { readonly kind: "refuse" }
  /** Of each connection lets so many more bytes of the client through, then resets: in the middle of a command. */
  | { readonly kind: "cut"; readonly afterBytes: number }
  /** Of each connection lets so many more bytes of the server through, then resets: a reply without its end. */
  | { readonly kind: "truncate"; readonly afterBytes: number };

export interface FaultRelay {
  readonly port: number;
  set(fault: RelayFault): void;
  /** Leads elsewhere from now on, and resets what is open: a failover. */
  leadTo(port: number): void;
  /** Leads new connections elsewhere from now on, while open ones stay: an address that has moved. */
  leadNewTo(port: number): void;
  /** Resets what is open, once; new connections pass. */
  reset(): void;
  close(): Promise<void>;
}

/** A TCP relay on loopback that breaks what goes through it, on command. */
export async function startFaultRelay(firstTarget: number): Promise<FaultRelay> {
  let targetPort = firstTarget;
  let fault: RelayFault = { kind: "pass" };
  const sockets = new Set<Socket>();
  const lost = new WeakSet<Socket>();
  const resetAll = () => {
    for (const socket of sockets) socket.resetAndDestroy();
  };
  const carry = (from: Socket, to: Socket, limited: RelayFault["kind"]) => {
    let under = fault;
    let left = roomUnder(fault, limited);
    let dueMs = 0;
    from.on("data", (bytes) => {
      if (lost.has(from)) return;
      if (under !== fault) left = roomUnder(fault, limited);
      under = fault;
      // Nothing overtakes what was sent before it.
      dueMs = Math.max(dueMs, performance.now() + (fault.kind === "delay" ? fault.ms : 0));
      const waitMs = dueMs - performance.now();
      const passed = bytes.subarray(0, left);
      if (waitMs > 0) setTimeout(() => to.write(passed), waitMs);
      else to.write(passed);
      left -= passed.length;
      if (left <= 0) setImmediate(() => [from, to].map((socket) => socket.resetAndDestroy()));
    });
    from.on("error", () => undefined);
    from.on("close", () => {
      sockets.delete(from);
      if (!lost.has(from)) to.destroy();
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
    if (fault.kind === "black-hole") for (const socket of [client, target]) lost.add(socket);
    carry(client, target, "cut");
    carry(target, client, "truncate");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    set(next) {
      fault = next;
      if (next.kind === "refuse") resetAll();
      if (next.kind === "black-hole") for (const socket of sockets) lost.add(socket);
    },
    leadTo(port) {
      targetPort = port;
      resetAll();
    },
    leadNewTo(port) {
      targetPort = port;
    },
    reset: resetAll,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      resetAll();
      await closed;
    },
  };
}

function roomUnder(fault: RelayFault, limited: RelayFault["kind"]): number {
  return fault.kind === limited && "afterBytes" in fault ? fault.afterBytes : Number.POSITIVE_INFINITY;
}
