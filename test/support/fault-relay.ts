import type { Socket } from "node:net";
import { connect, createServer } from "node:net";

/** What happens to bytes in transit. It can change while connections are open. */
export type RelayFault =
  | { readonly kind: "pass" }
  /** Delays every byte, in both directions. */
  | { readonly kind: "delay"; readonly ms: number }
  /**
   * Connections stay open, and nothing passes: neither bytes nor an end. Connections that were open then, or
   * opened meanwhile, stay lost after the fault, as if a router had forgotten them.
   */
  | { readonly kind: "black-hole" }
  /** Resets open connections, and resets each new one at once. */
  | { readonly kind: "refuse" }
  /** Resets each connection after this many more bytes of the client: in the middle of a command. */
  | { readonly kind: "cut"; readonly afterBytes: number }
  /** Resets each connection after this many more bytes of the server: a truncated reply. */
  | { readonly kind: "truncate"; readonly afterBytes: number };

export interface FaultRelay {
  readonly port: number;
  set(fault: RelayFault): void;
  /** Changes the target and resets open connections: a failover. */
  leadTo(port: number): void;
  /** Changes the target of new connections and keeps open ones: an address that has moved. */
  leadNewTo(port: number): void;
  /** Resets open connections once; new connections pass. */
  reset(): void;
  close(): Promise<void>;
}

/** A TCP relay on loopback that causes faults on command. */
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
    let left = bytesUnder(fault, limited);
    const write = inOrder((bytes) => to.write(bytes));
    from.on("data", (bytes) => {
      if (lost.has(from)) return;
      if (under !== fault) left = bytesUnder(fault, limited);
      under = fault;
      const passed = bytes.subarray(0, left);
      write(passed, fault.kind === "delay" ? fault.ms : 0);
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

/** Writes bytes after their delays, in the order of the calls: two timers of the same moment can fire in either order. */
function inOrder(write: (bytes: Buffer) => void) {
  const waiting: { readonly bytes: Buffer; readonly dueMs: number }[] = [];
  const writeDue = () => {
    for (let [first] = waiting; first !== undefined; [first] = waiting) {
      const waitMs = first.dueMs - performance.now();
      if (waitMs > 0) return void setTimeout(writeDue, Math.ceil(waitMs));
      write(first.bytes);
      waiting.shift();
    }
  };
  return (bytes: Buffer, delayMs: number) => {
    if (waiting.length === 0 && delayMs === 0) return write(bytes);
    waiting.push({ bytes, dueMs: performance.now() + delayMs });
    if (waiting.length === 1) writeDue();
  };
}

function bytesUnder(fault: RelayFault, limited: RelayFault["kind"]): number {
  return fault.kind === limited && "afterBytes" in fault ? fault.afterBytes : Number.POSITIVE_INFINITY;
}
