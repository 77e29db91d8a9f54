import type { ListenerTls } from "../config/certificates.ts";
import type { MaybePromise } from "../core/maybe-promise.ts";
import type { Health } from "./health.ts";

/**
 * Decides one Check: the bytes of a CheckRequest to the bytes of a CheckResponse. `undefined` stands for a message that could
 * not be received. Never throws and never rejects, because Envoy may let a request through after an RPC error.
 * @param timeLeftMs milliseconds until the deadline of the call
 */
export type Check = (message: Uint8Array | undefined, timeLeftMs: number) => MaybePromise<Uint8Array>;

/** What carries gRPC: there are two of these, and one contract suite. */
export interface TransportOptions {
  /** `host:port` (port 0 takes a free one), or `unix:/path`. */
  readonly listen: string;
  readonly check: Check;
  readonly health: Health;
  readonly tls?: ListenerTls;
  /** Of the metadata of a call, counted as RFC 9113 §6.5.2 says; more of it, and a Check is denied. */
  readonly maxHeaderBytes?: number;
  /** Hears of a fault of ours that ended a connection; no caller can bring one about, as far as we know. */
  readonly faulted?: (error: unknown) => void;
}

export interface Transport {
  /** The port that it listens on; 0 on a socket. */
  readonly port: number;
  /** Listens anew at the same place, where its socket's file is gone; connections that are open go on. Rejects when it cannot. */
  listenAgain(): Promise<void>;
  /** Takes no new call and resolves when the open ones are answered, or cut off after the time given. */
  close(graceMs: number): Promise<void>;
}

/** Envoy's request headers end at 60 KiB by default; a CheckRequest of four times that is not one. */
export const MAX_MESSAGE_BYTES = 256 * 1024;
export const MAX_CONCURRENT_CALLS = 1024;
/** Room for several copies of all that a client may send Envoy. */
export const DEFAULT_MAX_HEADER_BYTES = 256 * 1024;
