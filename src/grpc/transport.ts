import type { Socket } from "node:net";
import type { ListenerTls } from "../config/certificates.ts";
import type { MaybePromise } from "../core/maybe-promise.ts";
import type { Health } from "./health.ts";

/** A unary method of the application: bytes of a request message to bytes of a response message. */
export interface UnaryMethod {
  /** `/package.Service/Method` */
  readonly path: string;
  /**
   * Must neither throw nor reject.
   * @param message `undefined` stands for a message that could not be received
   * @param timeLeftMs milliseconds until the deadline of the call
   * @param socket the connection of the call, on our own HTTP/2
   */
  readonly handle: (
    message: Uint8Array | undefined,
    timeLeftMs: number,
    socket?: Socket,
  ) => MaybePromise<Uint8Array>;
  /**
   * Whether `handle` also answers a call that cannot be received. If not, such a call ends with an HTTP or gRPC status. A method
   * whose client treats such a status as success needs this to fail closed.
   */
  readonly handlesInvalid: boolean;
}

/** What carries gRPC. There are two implementations, and one contract suite. */
export interface TransportOptions {
  /** `host:port` (port 0 takes a free one), or `unix:/path`. */
  readonly listen: string;
  readonly methods: readonly UnaryMethod[];
  readonly health: Health;
  readonly tls?: ListenerTls;
  /** Maximum size of the metadata of a call, counted as in RFC 9113 §6.5.2. A call with more cannot be received. */
  readonly maxHeaderBytes?: number;
  /** Called with each connection of our own HTTP/2 before its first byte is read. Must not throw. */
  readonly onOpened?: (socket: Socket) => void;
  /** Called with an exception of this program that ended a connection. As far as we know, no client can cause one. */
  readonly onFault?: (error: unknown) => void;
}

export interface Transport {
  /** The port of the listener; 0 on a Unix socket. */
  readonly port: number;
  /** Opens the listener again at the same address; open connections continue. Rejects if the address is not available. */
  listenAgain(): Promise<void>;
  /**
   * Accepts no new calls, and resolves when all connections are closed.
   * @param graceMs after this time, connections that are still open are destroyed
   */
  close(graceMs: number): Promise<void>;
}

/** Four times the 60 KiB to which Envoy limits request headers by default. */
export const MAX_MESSAGE_BYTES = 256 * 1024;
export const MAX_CONCURRENT_CALLS = 1024;
/** Several copies of everything that a client may send to Envoy. */
export const DEFAULT_MAX_HEADER_BYTES = 256 * 1024;
