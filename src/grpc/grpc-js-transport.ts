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
import { AUTHORIZATION_SERVICE, HEALTH_PATHS, REFLECTION_PATHS } from "./proto.ts";
import { reflect } from "./reflection.ts";
import { decodeReflectionRequest, encodeReflectionResponse } from "./reflection-messages.ts";
import type { Check, Transport, TransportOptions } from "./transport.ts";
import { MAX_CONCURRENT_CALLS, MAX_MESSAGE_BYTES } from "./transport.ts";

/** grpc-js answers a longer message by an error, which Envoy may let through: longer than any headers that Envoy takes. */
const MAX_RECEIVED_BYTES = 16 * 1024 * 1024;

/**
 * The same door on @grpc/grpc-js: slower, and the one to turn to should ours ever be in doubt. It has no setting for the
 * metadata of a call: Node takes some 128 KB of it, and ends the connection beyond that.
 */
export async function startGrpcJsTransport(options: TransportOptions): Promise<Transport> {
  // It would write values of metadata to stderr, which may be a client's.
  setLogVerbosity(logVerbosity.NONE);
  const server = new Server({
    "grpc.max_receive_message_length": MAX_RECEIVED_BYTES,
    "grpc.max_concurrent_streams": MAX_CONCURRENT_CALLS,
    // Finds callers that went without a word.
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 5000,
  });
  server.addService(AUTHORIZATION_SERVICE, { Check: toCheckHandler(options.check) });
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

function toCheckHandler(check: Check) {
  return (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>): void => {
    const deadline = call.getDeadline();
    const timeLeftMs = (deadline instanceof Date ? deadline.getTime() : deadline) - Date.now();
    const isTooLong = call.request.length > MAX_MESSAGE_BYTES;
    const answer = check(isTooLong ? undefined : call.request, timeLeftMs);
    if (answer instanceof Promise) void answer.then((bytes) => reply(null, asBuffer(bytes)));
    else reply(null, asBuffer(answer));
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
        end: () => void call.end(),
      });
      call.on("cancelled", unwatch);
      // It may have been cancelled before that.
      if (call.cancelled) unwatch();
    },
  };
}

const HEALTH_SERVICE = {
  Check: {
    ...clientPart(),
    path: HEALTH_PATHS.check,
    requestStream: false,
    responseStream: false,
    requestDeserialize: decodeHealthRequest,
    responseSerialize: encodeHealthResponse,
  },
  Watch: {
    ...clientPart(),
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
      ...clientPart(),
      path,
      requestStream: true,
      responseStream: true,
      requestDeserialize: decodeReflectionRequest,
      responseSerialize: encodeReflectionResponse,
    },
  } as const;
}

/** A definition names what a client needs as well; this side never calls it. */
function clientPart() {
  const unused = (): never => {
    throw new Error("only a client of this service needs that");
  };
  return { requestSerialize: unused, responseDeserialize: unused };
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
