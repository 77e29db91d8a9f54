import type { ServerDuplexStream, ServerUnaryCall, ServerWritableStream, sendUnaryData } from "@grpc/grpc-js";
import { logVerbosity, Server, setLogVerbosity, status } from "@grpc/grpc-js";
import { serverCredentials } from "./grpc-js-credentials.ts";
import type { Health } from "./health.ts";
import { SERVING_STATUS } from "./health.ts";
import { decodeHealthRequest, encodeHealthResponse } from "./health-messages.ts";
import type {
  HealthCheckRequest,
  HealthCheckResponse,
  ReflectionRequest,
  ReflectionResponse,
} from "./proto.ts";
import { HEALTH_PATHS, REFLECTION_PATHS } from "./proto.ts";
import { reflect } from "./reflection.ts";
import { decodeReflectionRequest, encodeReflectionResponse } from "./reflection-messages.ts";
import type { Transport, TransportOptions, UnaryMethod } from "./transport.ts";
import { MAX_CONCURRENT_CALLS, MAX_MESSAGE_BYTES } from "./transport.ts";

/** grpc-js rejects a longer message with a gRPC status, before any method sees it. No Envoy sends one: its headers are shorter. */
const MAX_RECEIVED_BYTES = 16 * 1024 * 1024;

/**
 * The same listener on @grpc/grpc-js. It is slower, and serves as a fallback if our own HTTP/2 is ever in doubt. It has no
 * setting for the metadata of a call: Node accepts some 128 KB, and ends the connection beyond that.
 */
export async function startGrpcJsTransport(options: TransportOptions): Promise<Transport> {
  // It would write metadata values to stderr, which may be text of a client.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server({
    "grpc.max_receive_message_length": MAX_RECEIVED_BYTES,
    "grpc.max_concurrent_streams": MAX_CONCURRENT_CALLS,
    // Detects clients that have disappeared without closing the connection.
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 5000,
  });
  for (const method of options.methods)
    server.addService({ Call: unaryDefinition(method.path) }, { Call: unaryHandler(method) });
  server.addService(HEALTH_SERVICE, healthHandlers(options.health));
  for (const path of REFLECTION_PATHS) server.addService(reflectionAt(path), { Info: serveReflection });
  const port = await bind(server, options);
  return {
    port,
    async listenAgain() {
      server.unbind(options.listen);
      await bind(server, options);
    },
    close: (graceMs) => shutDown(server, graceMs),
  };
}

const identity = (bytes: Buffer): Buffer => bytes;

/** A method with bytes in and out. Its handler decodes the message itself, so an undecodable one does not become a gRPC error. */
export function unaryDefinition(path: string) {
  return {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: identity,
    requestDeserialize: identity,
    responseSerialize: identity,
    responseDeserialize: identity,
  } as const;
}

function unaryHandler({ handle, handlesInvalid }: UnaryMethod) {
  return (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>): void => {
    const deadline = call.getDeadline();
    const timeLeftMs = (deadline instanceof Date ? deadline.getTime() : deadline) - Date.now();
    const isTooLong = call.request.length > MAX_MESSAGE_BYTES;
    if (isTooLong && !handlesInvalid) {
      reply({ code: status.RESOURCE_EXHAUSTED, details: "the message is too long" });
      return;
    }
    const response = handle(isTooLong ? undefined : call.request, timeLeftMs);
    if (response instanceof Promise) void response.then((bytes) => reply(null, asBuffer(bytes)));
    else reply(null, asBuffer(response));
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function healthHandlers(health: Health) {
  return {
    Check(
      call: ServerUnaryCall<HealthCheckRequest, HealthCheckResponse>,
      reply: sendUnaryData<HealthCheckResponse>,
    ) {
      const serving = health.current(call.request.service);
      if (serving === SERVING_STATUS.SERVICE_UNKNOWN)
        reply({ code: status.NOT_FOUND, details: "unknown service" });
      else reply(null, { status: serving });
    },
    Watch(call: ServerWritableStream<HealthCheckRequest, HealthCheckResponse>) {
      const unwatch = health.watch(call.request.service, {
        onStatus: (serving) => void call.write({ status: serving }),
        onEnd: () => void call.end(),
      });
      call.on("cancelled", unwatch);
      // The call may have been cancelled before the listener was added.
      if (call.cancelled) unwatch();
    },
  };
}

const unused = (): never => {
  throw new Error("only a client of this service needs this function");
};
/** The type of a definition requires what only a client calls. */
const UNUSED_BY_SERVER = { requestSerialize: unused, responseDeserialize: unused };

const HEALTH_SERVICE = {
  Check: {
    ...UNUSED_BY_SERVER,
    path: HEALTH_PATHS.check,
    requestStream: false,
    responseStream: false,
    requestDeserialize: decodeHealthRequest,
    responseSerialize: encodeHealthResponse,
  },
  Watch: {
    ...UNUSED_BY_SERVER,
    path: HEALTH_PATHS.watch,
    requestStream: false,
    responseStream: true,
    requestDeserialize: decodeHealthRequest,
    responseSerialize: encodeHealthResponse,
  },
} as const;

function reflectionAt(path: string) {
  return {
    Info: {
      ...UNUSED_BY_SERVER,
      path,
      requestStream: true,
      responseStream: true,
      requestDeserialize: decodeReflectionRequest,
      responseSerialize: encodeReflectionResponse,
    },
  } as const;
}

function serveReflection(call: ServerDuplexStream<ReflectionRequest, ReflectionResponse>): void {
  call.on("data", (request: ReflectionRequest) => call.write(reflect(request)));
  call.on("end", () => call.end());
}

function bind(server: Server, { listen, tls }: TransportOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    server.bindAsync(listen, serverCredentials(tls), (error, port) => {
      if (error === null) resolve(port);
      else reject(error);
    });
  });
}

function shutDown(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.forceShutdown(), graceMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}
