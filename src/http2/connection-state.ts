import type { Socket } from "node:net";
import type { HpackDecoder, OnField } from "./hpack.ts";
import type { Output } from "./output.ts";
import type { HeaderValidator, RequestHead, SingleFields } from "./request-head.ts";
import type { SharedBytes } from "./shared-bytes.ts";

export interface ConnectionDeps {
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
  /**
   * Called for each new request: sets the callbacks of the stream, or responds at once. `head` is valid during the call only:
   * the next request of the connection overwrites it.
   */
  readonly onRequest: (stream: Stream, head: RequestHead, nowMs: number) => void;
  /** Whether `onRequest` also receives this request if it is malformed or too large. Any other such request is reset. */
  readonly handlesInvalid: (head: RequestHead) => boolean;
  /** SETTINGS_MAX_CONCURRENT_STREAMS. */
  readonly maxStreams: number;
  /** Maximum size of a header block, counted as in RFC 9113 §6.5.2. A larger block fails its own request only. */
  readonly maxHeaderBytes: number;
  /** A stream that is not closed after this time is reset, unless `onRequest` sets another deadline. */
  readonly maxRequestMs: number;
  readonly singleFields: SingleFields;
  /** Called with each connection before its first byte is read. Must not throw. */
  readonly onOpened?: (socket: Socket) => void;
  /** Called when the first SETTINGS frame of a connection has arrived. */
  readonly onEstablished?: (socket: Socket) => void;
  /** Called with an exception of this program, which has ended its connection. */
  readonly onFault: (error: unknown) => void;
}

/** Bytes of one kind that clients make this process keep. */
interface ByteLimits {
  /** Over all connections. */
  readonly process: number;
  readonly connection: number;
}

/** Limits of what clients make this process keep. See load.ts. */
export interface LoadLimits {
  /** Of incomplete requests. */
  readonly buffered: ByteLimits;
  /** Of responses that wait for flow-control windows. */
  readonly pending: ByteLimits;
  /** Of sockets whose clients do not read. Above the limit of a connection, the server stops reading from its client. */
  readonly unsent: ByteLimits;
  /** Number of incomplete requests, over all connections. */
  readonly incompleteRequests: number;
}

/** What the clients of all connections together make this process keep. Each amount has its own limit. */
export interface Load {
  readonly limits: LoadLimits;
  /** Bodies of requests that are not complete. */
  readonly buffered: SharedBytes<Stream>;
  /** DATA that waits for a flow-control window of the client. */
  readonly pending: SharedBytes<Stream>;
  /** Bytes in sockets whose clients do not read. */
  readonly unsent: SharedBytes<Connection>;
  /** Streams whose client has not sent END_STREAM. */
  incompleteRequests: number;
  /** Ends the connection that has the most incomplete requests. */
  readonly onTooManyIncomplete: () => void;
}

/** One HTTP/2 connection, as its server sees it. */
export interface Connection {
  readonly deps: ConnectionDeps;
  readonly load: Load;
  readonly socket: Socket;
  readonly output: Output;
  readonly hpack: HpackDecoder;
  readonly validator: HeaderValidator;
  /** Adds the next field of a header block to the validator. */
  readonly onField: OnField;
  /** Streams that are open or half-closed. */
  readonly streams: Map<number, Stream>;
  /** The streams that the server reset last: frames that were already under way for them are discarded (RFC 9113 §5.1). */
  readonly resetIds: Set<number>;
  /** Whether the server may reset one more stream that broke a rule. If not, the connection must end. */
  readonly resetBudget: () => boolean;
  /** The same for SETTINGS frames. */
  readonly settingsBudget: () => boolean;
  readonly openedMs: number;
  /** When its latest request began. */
  lastRequestMs: number;
  /** The highest stream id that the client has opened. */
  highestOpenedStreamId: number;
  /** The highest stream id that we processed. GOAWAY reports it and must never report a higher id than before (RFC 9113 §6.8). */
  lastProcessedStreamId: number;
  /** A header block that continues in the next frame. No other frame may come before that (RFC 9113 §6.10). */
  headerBlock: HeaderBlock | undefined;
  /** Bytes of DATA that the server may send. */
  sendWindow: number;
  /** Bytes of DATA that the client may send. */
  receiveWindow: number;
  /** The client's SETTINGS_INITIAL_WINDOW_SIZE. */
  initialSendWindow: number;
  /** The streams whose DATA waits for the window of the connection, in the order in which they began to wait. */
  readonly blockedStreams: Set<Stream>;
  /** Bytes of incomplete requests that handlers keep. */
  bufferedBytes: number;
  /** Bytes of responses that wait for a flow-control window. */
  pendingBytes: number;
  /** The client has changed the table size, and the next header block must acknowledge that (RFC 7541 §4.2). */
  tableSizeUpdatePending: boolean;
  /** The first frame of the client has arrived, which is SETTINGS. */
  settingsReceived: boolean;
  /** The client has acknowledged our SETTINGS. */
  settingsAcknowledged: boolean;
  /** Accepts no new streams, and closes with its last stream. */
  isDraining: boolean;
  isClosed: boolean;
  /** Called when a PING of ours is acknowledged; by the payload of the PING. */
  readonly pings: Map<number, () => void>;
  nextPing: number;
}

/** A header block whose last frame has not arrived. */
export interface HeaderBlock {
  readonly streamId: number;
  readonly isEndStream: boolean;
  bytes: number;
  frames: number;
}

/** RFC 9113 §5.1. An "idle" stream has no record (see `isIdle`), and "reserved" needs a push, which clients may not send. */
export type StreamState = "open" | "half-closed (remote)" | "half-closed (local)" | "closed";

/** Receives a request body piece by piece. A piece is valid during the call only. */
export type OnBody = (stream: Stream, piece: Buffer, isLast: boolean) => void;

/** One stream of a connection, which carries one request (RFC 9113 §5). */
export interface Stream {
  readonly id: number;
  readonly connection: Connection;
  /** Changed by stream.ts only. */
  state: StreamState;
  /** Monotonic milliseconds: the time at which the stream is reset. */
  deadlineMs: number;
  /** Undefined: the rest of the body is discarded. */
  onBody: OnBody | undefined;
  /**
   * Called when the body can never be complete: it contradicts its content-length, or the buffers of all requests exceed their
   * limit. Frees what is kept of the body, and responds.
   */
  onBodyRejected: ((stream: Stream) => void) | undefined;
  onClose: (() => void) | undefined;
  /** Called when the client has taken all that was sent, so that the handler may send more. */
  onDrain: (() => void) | undefined;
  /** An invalid request gets a response instead of a reset. */
  readonly handlesInvalid: boolean;
  /** Bytes of the body that must still arrive according to content-length. */
  remainingContentLength: number | undefined;
  /** Bytes of DATA that the server may send; negative after the client has reduced its windows (RFC 9113 §6.9.2). */
  sendWindow: number;
  /** Bytes of DATA that the client may send. */
  receiveWindow: number;
  /** Stops the replenishing of the receive window: backpressure of the handler. */
  isPaused: boolean;
  /** Buffer of an incomplete body. It may be larger than the `bodyBytes` that it holds. */
  body: Buffer | undefined;
  bodyBytes: number;
  /** DATA that waits for a flow-control window of the client. */
  pendingData: Buffer[] | undefined;
  pendingBytes: number;
  /** Header block that ends the response, after the pending data. */
  trailers: Buffer | undefined;
}
