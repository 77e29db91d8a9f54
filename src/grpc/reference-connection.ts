import { Duplex } from "node:stream";
import type { ServerInterceptingCallInterface, ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import {
  logVerbosity,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  ServerListenerBuilder,
  setLogVerbosity,
} from "@grpc/grpc-js";
import { unaryDefinition } from "./grpc-js-transport.ts";
import { MAX_MESSAGE_BYTES } from "./transport.ts";

/** A call that @grpc/grpc-js has received completely. */
export interface ReferenceCall {
  readonly path: string;
  readonly message: Buffer;
  /** Ends the call. */
  readonly reply: (response: Uint8Array) => void;
}

export interface ReferenceConnectionOptions {
  /** The unary methods that are served. */
  readonly paths: readonly string[];
  readonly onCall: (call: ReferenceCall) => void;
  /** A call ended before its message was complete: the client has reset it, or its deadline has passed. */
  readonly onCancelled: () => void;
  /** Takes the next bytes of the client, at most {@link MAX_PULL_BYTES}; undefined if there are none yet. */
  readonly pull: () => Uint8Array | undefined;
  /** The server has ended the connection, which `end` did not cause. */
  readonly onEnded: () => void;
}

/** The bytes of a client's connection, served by @grpc/grpc-js. What it sends is discarded. */
export interface ReferenceConnection {
  /** There are bytes to pull. */
  wake(): void;
  end(): void;
}

/**
 * The client obeys the windows of our own server, which are larger than those of Node. Node has sent its updates of the windows
 * for one piece of this size two turns later, before it receives the next piece.
 */
export const MAX_PULL_BYTES = 16 * 1024;

/**
 * Serves one connection without a socket. It needs no listener, so no other client can reach it. It has no limit of streams,
 * because the client sends what our own server permits.
 */
export function openReferenceConnection(options: ReferenceConnectionOptions): ReferenceConnection {
  // It would write metadata values to stderr, which may be text of a client.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server({
    "grpc.enable_channelz": 0,
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    interceptors: [(_method, call) => observeCancellation(call, options.onCancelled)],
  });
  for (const path of options.paths)
    server.addService({ Call: unaryDefinition(path) }, { Call: callHandler(path, options) });
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  let isEnded = false;
  const { socket, wake } = createFeedSocket(() => (isEnded ? undefined : options.pull()));
  socket.on("close", () => {
    injector.destroy();
    if (!isEnded) options.onEnded();
    isEnded = true;
  });
  injector.injectConnection(socket);
  return {
    wake,
    end() {
      isEnded = true;
      socket.destroy();
    },
  };
}

/** A stream in place of the socket, which takes its bytes piece by piece. */
function createFeedSocket(pull: ReferenceConnectionOptions["pull"]) {
  let isWanted = false;
  let isPaused = false;
  const resume = () => {
    isPaused = false;
    wake();
  };
  const wake = () => {
    const bytes = isWanted && !isPaused ? pull() : undefined;
    if (bytes === undefined) return;
    isWanted = false;
    isPaused = true;
    setImmediate(() => setImmediate(resume));
    socket.push(bytes);
  };
  const socket = new Duplex({
    // The stream must want bytes only when it has none.
    readableHighWaterMark: 1,
    read() {
      isWanted = true;
      wake();
    },
    write: (_chunk, _encoding, done) => done(),
  });
  socket.on("error", () => undefined);
  return { socket, wake };
}

function callHandler(path: string, { onCall }: ReferenceConnectionOptions) {
  return ({ request }: ServerUnaryCall<Buffer, Buffer>, send: sendUnaryData<Buffer>): void =>
    onCall({ path, message: request, reply: (response) => send(null, Buffer.from(response)) });
}

function observeCancellation(call: ServerInterceptingCallInterface, onCancelled: () => void) {
  let isComplete = false;
  const listener = new ServerListenerBuilder()
    .withOnReceiveHalfClose((next) => {
      isComplete = true;
      next();
    })
    .withOnCancel(() => {
      if (!isComplete) onCancelled();
    })
    .build();
  return new ServerInterceptingCall(call, { start: (next) => next(listener) });
}
