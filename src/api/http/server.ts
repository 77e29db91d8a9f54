import { randomUUID } from "node:crypto";
import type { RequestListener, Server } from "node:http";
import cors from "@fastify/cors";
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import Fastify from "fastify";
import type { CompletedCall } from "../../core/audit/ports.ts";
import { errorMessage } from "../../core/error-message.ts";
import { asciiLowerCase, trimOws } from "../../core/field-text.ts";
import { allowedMethods } from "./allowed-methods.ts";
import { reportCompletedCalls } from "./completed-call.ts";
import type { Endpoint } from "./endpoint.ts";
import { decodeBody, InvalidBody, parseForm, parseJsonBody } from "./json-body.ts";
import type { NodeServerOptions } from "./node-server.ts";
import { createNodeServer } from "./node-server.ts";
import { sendProblem } from "./problem.ts";
import { withRouteCode } from "./route-code.ts";
import { boundUnreadResponses } from "./unread-responses.ts";

/** No call of the API needs more: the largest is a registration with 512 bytes of metadata. */
const MAX_BODY_BYTES = 16 * 1024;

/** A key put where its id belongs is told so, rather than that the path is unknown. */
const MAX_PATH_PARAM = 8192;

export interface HttpServer {
  /** `host:port`. */
  readonly address: string;
  /** Serves these from now on; until then every call is answered 503. To be called once, where the options name none. */
  serve(endpoints: readonly Endpoint[]): Promise<void>;
  /** Takes no new call and resolves when the open ones are answered, or cut off after the time given. */
  close(graceMs: number): Promise<void>;
}

export interface HttpServerOptions extends NodeServerOptions {
  readonly listen: { readonly host: string; readonly port: number };
  /** Absent: they are given to `serve` later, while the listener is open already. */
  readonly endpoints?: readonly Endpoint[];
  /** Pages of these origins may call. */
  readonly corsOrigins?: readonly string[];
  /** Hears of every fault that became an answer. */
  readonly onFault: (error: unknown, requestId: string) => void;
  /** Hears of every call once it is answered. */
  readonly onCompletedCall?: (call: CompletedCall) => void;
  /** By which it tells clients' addresses. */
  readonly trustedHops?: number;
}

/** Opens a listener for people and programs. Rejects when it cannot listen. */
export async function startHttpServer(options: HttpServerOptions): Promise<HttpServer> {
  let handle: RequestListener | undefined;
  const server = await buildServer(options, options.endpoints, (answer) =>
    createNodeServer((request, response) => (handle ?? answer)(request, response), options),
  );
  const { host, port } = options.listen;
  try {
    await server.listen({ host, port });
  } catch (error) {
    throw new Error(`an HTTP door cannot listen on ${host}:${port}: ${errorMessage(error)}`);
  }
  return {
    address: addressOf(server),
    async serve(endpoints) {
      // Fastify takes no route once it listens: another one takes the calls, at the same listener.
      handle = (await buildServer(options, endpoints)).routing;
    },
    close: (graceMs) => shutDown(server, graceMs),
  };
}

/** What answers calls; without endpoints all with 503. */
function buildServer(...of: Parameters<typeof addParts>): Promise<FastifyInstance> {
  return withRouteCode(async () => {
    const server = await addParts(...of);
    await server.ready();
    return server;
  });
}

async function addParts(
  options: HttpServerOptions,
  endpoints: readonly Endpoint[] | undefined,
  serverFactory?: (answer: RequestListener) => Server,
): Promise<FastifyInstance> {
  const server = Fastify({
    logger: false,
    bodyLimit: MAX_BODY_BYTES,
    ...(serverFactory !== undefined && { serverFactory }),
    genReqId: () => randomUUID(),
    forceCloseConnections: "idle",
    // What comes on an open connection while the door closes is still answered.
    return503OnClosing: false,
    frameworkErrors: (_error, _request, reply) => sendUnreadablePath(reply),
    routerOptions: {
      ignoreTrailingSlash: true,
      maxParamLength: MAX_PATH_PARAM,
      // Endpoints read their query themselves, once the caller is admitted.
      querystringParser: () => ({}),
    },
  });
  acceptBodies(server);
  boundUnreadResponses(server);
  if (options.corsOrigins?.length) await allowOrigins(server, options.corsOrigins);
  server.setErrorHandler((error: FastifyError | InvalidBody, request, reply) =>
    answerError(error, request.id, reply, options.onFault),
  );
  if (options.onCompletedCall !== undefined)
    reportCompletedCalls(server, options.trustedHops ?? 0, options.onCompletedCall);
  answerUnknown(server, endpoints);
  for (const endpoint of endpoints ?? []) addRoute(server, endpoint);
  return server;
}

async function shutDown(server: FastifyInstance, graceMs: number): Promise<void> {
  const timer = setTimeout(() => server.server.closeAllConnections(), graceMs);
  await server.close();
  clearTimeout(timer);
}

/** Answers 404 or 405, before the body is read where no route of the server's own (of CORS) takes the call. */
function answerUnknown(server: FastifyInstance, endpoints: readonly Endpoint[] | undefined): void {
  const allowed = allowedMethods(endpoints ?? []);
  const answer = (request: FastifyRequest, reply: FastifyReply) => {
    if (endpoints === undefined) return sendProblem(reply, "store_unavailable");
    const methods = allowed(request.raw.url ?? "");
    if (methods.length === 0) return sendProblem(reply, "not_found");
    return sendProblem(reply.header("allow", methods.join(", ")), "method_not_allowed");
  };
  server.addHook("onRequest", async (request, reply) => {
    if (request.is404) return answer(request, reply);
  });
  server.setNotFoundHandler(answer);
}

function addRoute(server: FastifyInstance, endpoint: Endpoint): void {
  // A colon of the path itself is written twice for the router.
  const url = endpoint.path.replaceAll(":", "::").replaceAll(/\{(\w+)\}/g, ":$1");
  const takes = endpoint.body && (endpoint.bodyType ?? JSON_TYPE);
  server.route({
    method: endpoint.method,
    url,
    config: { path: endpoint.path },
    ...(endpoint.bodyType === LINES_TYPE && { bodyLimit: MAX_LINES_BYTES }),
    // Before the body is read, and before its type is looked at.
    async onRequest(request, reply) {
      if (!(await endpoint.admit(request, reply))) return reply;
    },
    ...(endpoint.maxBodyBytes !== undefined && { bodyLimit: endpoint.maxBodyBytes }),
    handler(request, reply) {
      const [given] = request.headers["content-type"]?.split(";", 1).map(trimOws).map(asciiLowerCase) ?? [];
      if (takes !== undefined && given !== undefined && given !== takes)
        return sendProblem(reply, "media_type_unsupported");
      return endpoint.run(request, reply);
    },
  });
}

const JSON_TYPE = "application/json";
const LINES_TYPE = "application/x-ndjson";
/** Lines are sent in portions. */
const MAX_LINES_BYTES = 8 * 1024 * 1024;

function acceptBodies(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  const parsers = {
    [JSON_TYPE]: parseJsonBody,
    "application/x-www-form-urlencoded": parseForm,
    [LINES_TYPE]: (text: string) => text,
  };
  for (const [type, parse] of Object.entries(parsers)) {
    server.addContentTypeParser(type, { parseAs: "buffer" }, (_request, body, done) => {
      try {
        done(null, parse(decodeBody(Buffer.from(body))));
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }
}

/** What a page of another origin may send, and what it may read. No cookies: a key is in a header. */
async function allowOrigins(server: FastifyInstance, origins: readonly string[]): Promise<void> {
  // The plugin would answer every OPTIONS; one that is no preflight (Fetch §4.8) is a method like another.
  server.addHook("onRequest", async ({ method, headers }, reply) => {
    const preflight = headers.origin !== undefined && headers["access-control-request-method"] !== undefined;
    if (method !== "OPTIONS" || preflight) return;
    reply.callNotFound();
    return reply;
  });
  await server.register(cors, {
    origin: [...origins],
    methods: ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"],
    allowedHeaders: ["authorization", "x-api-key", "content-type", "idempotency-key", "accept-key-version"],
    exposedHeaders: [
      "retry-after",
      "link",
      "deprecation",
      "sunset",
      "x-latchkey-upgrade",
      "x-latchkey-reason",
    ],
    maxAge: 600,
  });
}

/** A path that the router cannot read is not repeated: it may hold a key. */
function sendUnreadablePath(reply: FastifyReply): FastifyReply {
  const detail = "has a part that is too long, or is not valid percent-encoded UTF-8";
  return sendProblem(reply, "request_invalid", { errors: [{ pointer: "#/path", detail }] });
}

/** The one catch of this door. */
function answerError(
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
  onFault(error, requestId);
  return sendProblem(reply, "store_unavailable");
}

function addressOf(server: FastifyInstance): string {
  const address = server.addresses()[0];
  if (address === undefined || typeof address === "string")
    throw new Error("an HTTP door is open but has no address");
  return address.family === "IPv6"
    ? `[${address.address}]:${address.port}`
    : `${address.address}:${address.port}`;
}
