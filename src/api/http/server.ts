import { randomUUID } from "node:crypto";
import type { RequestListener, Server } from "node:http";
import type { FastifyError, FastifyInstance, FastifyReply } from "fastify";
import Fastify from "fastify";
import { formatHostPort } from "../../config/host-port.ts";
import type { CompletedCall } from "../../core/audit/ports.ts";
import { errorMessage } from "../../core/error-message.ts";
import { RegistryFrozen } from "../../core/keys/registry-frozen.ts";
import type { NodeServerOptions } from "../../http1/node-server.ts";
import { createNodeServer } from "../../http1/node-server.ts";
import { addBodyParsers, bodyLimitOf, isUnsupportedType, MAX_BODY_BYTES } from "./body-parsers.ts";
import { reportCompletedCalls } from "./completed-call.ts";
import { allowOrigins } from "./cors.ts";
import type { Endpoint } from "./endpoint.ts";
import { InvalidBody } from "./json-body.ts";
import { sendProblem } from "./problem.ts";
import { withRouteCode } from "./route-code.ts";
import { rejectUnmatched } from "./unmatched-requests.ts";
import { boundUnreadResponses } from "./unread-responses.ts";

/** Long enough for a whole key: a key in place of its id gets a problem that says so, not 404. */
const MAX_PATH_PARAM = 8192;

export interface HttpServer {
  /** `host:port`. */
  readonly address: string;
  /** Serves these endpoints from now on. Until then every call gets 503. Call it once, if the options have no endpoints. */
  serve(endpoints: readonly Endpoint[]): Promise<void>;
  /** Accepts no new call. Resolves when the open calls are complete, or have been cut off after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

export interface HttpServerOptions extends NodeServerOptions {
  readonly listen: { readonly host: string; readonly port: number };
  /** If absent, the listener opens first and `serve` sets the endpoints later. */
  readonly endpoints?: readonly Endpoint[];
  /** Origins whose pages may call (CORS). */
  readonly corsOrigins?: readonly string[];
  /** Called for every exception; the caller of the API gets 503. */
  readonly onFault: (error: unknown, requestId: string) => void;
  readonly onCompletedCall?: (call: CompletedCall) => void;
  /** How many proxies in front are trusted to append to X-Forwarded-For (`HTTP_TRUSTED_HOPS`). */
  readonly trustedHops?: number;
}

/** Opens an HTTP listener. Rejects if it cannot listen. */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  let handle: RequestListener | undefined;
  const server = await buildServer(options, options.endpoints, (initialHandler) =>
    createNodeServer((request, response) => (handle ?? initialHandler)(request, response), options),
  );
  const { host, port } = options.listen;
  try {
    await server.listen({ host, port });
  } catch (error) {
    throw new Error(`an HTTP listener cannot listen on ${host}:${port}: ${errorMessage(error)}`);
  }
  return {
    address: addressOf(server),
    async serve(endpoints) {
      // Fastify accepts no route once it listens. A second instance takes over the requests of the same listener.
      handle = (await buildServer(options, endpoints)).routing;
    },
    close: (graceMs) => shutDown(server, graceMs),
  };
}

function buildServer(...args: Parameters<typeof createFastify>): Promise<FastifyInstance> {
  return withRouteCode(async () => {
    const server = await createFastify(...args);
    await server.ready();
    return server;
  });
}

async function createFastify(
  options: HttpServerOptions,
  endpoints: readonly Endpoint[] | undefined,
  serverFactory?: (handler: RequestListener) => Server,
): Promise<FastifyInstance> {
  const server = Fastify({
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    ...(serverFactory !== undefined && { serverFactory }),
    genReqId: () => randomUUID(),
    forceCloseConnections: "idle",
    // Requests on open connections are still served while the listener closes.
    return503OnClosing: false,
    frameworkErrors: (_error, _request, reply) => sendUnreadablePath(reply),
    routerOptions: {
      ignoreTrailingSlash: true,
      maxParamLength: MAX_PATH_PARAM,
      // Endpoints parse their query themselves, after the caller is authorized.
      querystringParser: () => ({}),
    },
  });
  addBodyParsers(server);
  boundUnreadResponses(server);
  if (options.corsOrigins?.length) await allowOrigins(server, options.corsOrigins);
  server.setErrorHandler((error: FastifyError | InvalidBody, request, reply) =>
    sendError(error, request.id, reply, options.onFault),
  );
  if (options.onCompletedCall !== undefined)
    reportCompletedCalls(server, options.trustedHops ?? 0, options.onCompletedCall);
  rejectUnmatched(server, endpoints);
  for (const endpoint of endpoints ?? []) addRoute(server, endpoint);
  return server;
}

async function shutDown(server: FastifyInstance, graceMs: number): Promise<void> {
  const timer = setTimeout(() => server.server.closeAllConnections(), graceMs);
  await server.close();
  clearTimeout(timer);
}

function addRoute(server: FastifyInstance, endpoint: Endpoint): void {
  // The router requires a literal colon to be doubled.
  const url = endpoint.path.replaceAll(":", "::").replaceAll(/\{(\w+)\}/g, ":$1");
  server.route({
    method: endpoint.method,
    url,
    config: { path: endpoint.path, ...(endpoint.receivesText && { receivesText: true }) },
    bodyLimit: bodyLimitOf(endpoint),
    // Runs before the body is read and before its media type is checked.
    async onRequest(request, reply) {
      if (!(await endpoint.admit(request, reply))) return reply;
    },
    handler(request, reply) {
      if (isUnsupportedType(request, endpoint)) return sendProblem(reply, "media_type_unsupported");
      return endpoint.run(request, reply);
    },
  });
}

/** Does not repeat a path that the router cannot decode, because it may contain a key. */
function sendUnreadablePath(reply: FastifyReply): FastifyReply {
  const detail = "has a segment that is too long or is not valid percent-encoded UTF-8";
  return sendProblem(reply, "request_invalid", { errors: [{ pointer: "#/path", detail }] });
}

/** The one catch of this listener. */
function sendError(
  error: FastifyError | InvalidBody,
  requestId: string,
  reply: FastifyReply,
  onFault: HttpServerOptions["onFault"],
): FastifyReply {
  if (error instanceof InvalidBody) {
    return sendProblem(reply, "request_invalid", { errors: [{ pointer: "#", detail: error.message }] });
  }
  if (error.statusCode === 413) return sendProblem(reply, "body_too_large");
  if (error.statusCode === 415) return sendProblem(reply, "media_type_unsupported");
  if (error.statusCode !== undefined && error.statusCode < 500) {
    return sendProblem(reply, "request_invalid", { detail: error.message });
  }
  if (error instanceof RegistryFrozen)
    return sendProblem(reply, "registry_frozen", { retryAfterSeconds: error.retryAfterSeconds });
  onFault(error, requestId);
  return sendProblem(reply, "store_unavailable");
}

function addressOf(server: FastifyInstance): string {
  const address = server.addresses()[0];
  if (address === undefined || typeof address === "string")
    throw new Error("an HTTP listener is open but has no address");
  return formatHostPort({ host: address.address, port: address.port });
}
