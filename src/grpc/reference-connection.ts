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
  /** The server has ended the connection, which `end` did not cause. */
  readonly onEnded: () => void;
}

/** The bytes of a client's connection, served by @grpc/grpc-js. What it sends is discarded. */
export interface ReferenceConnection {
  write(bytes: Uint8Array): void;
  /** The client sends nothing more. */
  end(): void;
}

/**
 * Twice as large as any window of our own server, because the client sends what that server permits. Without a limit of streams for
 * the same reason.
 */
const WINDOW_BYTES = 2 ** 30;

/** Serves one connection without a socket. It needs no listener, so no other client can reach it. */
export function openReferenceConnection(options: ReferenceConnectionOptions): ReferenceConnection {
  // It would write metadata values to stderr, which may be text of a client.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server({
    "grpc.enable_channelz": 0,
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc-node.flow_control_window": WINDOW_BYTES,
    interceptors: [(_method, call) => observeCancellation(call, options.onCancelled)],
  });
  for (const path of options.paths)
    server.addService({ Call: unaryDefinition(path) }, { Call: callHandler(path, options) });
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  let isEnded = false;
  const socket = new Duplex({
    read: () => undefined,
    write: (_chunk, _encoding, done) => done(),
  });
  socket.on("error", () => undefined);
  socket.on("close", () => {
    injector.destroy();
    if (isEnded) return;
    isEnded = true;
    options.onEnded();
  });
  injector.injectConnection(socket);
  return {
    write(bytes) {
      if (!isEnded) socket.push(bytes);
    },
    end() {
      if (isEnded) return;
      isEnded = true;
      socket.destroy();
    },
  };
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
