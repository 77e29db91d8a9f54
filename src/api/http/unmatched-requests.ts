import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Endpoint } from "./endpoint.ts";
import { sendProblem } from "./problem.ts";

/**
 * Sends 404, or 405 with `Allow`, before the body is read. A request that a route of the server itself (CORS) matches is
 * left to that route. Without endpoints every request gets 503.
 */
export function rejectUnmatched(server: FastifyInstance, endpoints: readonly Endpoint[] | undefined): void {
  const allowed = allowedMethods(endpoints ?? []);
  const reject = (request: FastifyRequest, reply: FastifyReply) => {
    if (endpoints === undefined) return sendProblem(reply, "store_unavailable");
    const methods = allowed(request.raw.url ?? "");
    if (methods.length === 0) return sendProblem(reply, "not_found");
    return sendProblem(reply.header("allow", methods.join(", ")), "method_not_allowed");
  };
  server.addHook("onRequest", async (request, reply) => {
    if (request.is404) return reject(request, reply);
  });
  server.setNotFoundHandler(reject);
}

/**
 * The methods of a URL's path, for `Allow` (RFC 9110 §10.2.1); none if the path is unknown. Paths are compared as they are
 * written: a path in another spelling counts as unknown, although the router would match it.
 */
function allowedMethods(
  endpoints: readonly Pick<Endpoint, "method" | "path">[],
): (url: string) => readonly string[] {
  const paths = new Map<string, Set<string>>();
  for (const { method, path } of endpoints) {
    const methods = paths.get(path) ?? new Set();
    methods.add(method);
    // RFC 9110 §9.3.2: HEAD is GET without the content.
    if (method === "GET") methods.add("HEAD");
    paths.set(path, methods);
  }
  const known = [...paths].map(([path, methods]) => ({ pattern: patternOf(path), methods: [...methods] }));
  return (url) => {
    const path = url.replace(/[?#].*$/s, "");
    return [...new Set(known.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods))];
  };
}

function patternOf(path: string): RegExp {
  const segments = path
    .split("/")
    .map((segment) =>
      /^\{\w+\}$/.test(segment) ? "[^/]+" : segment.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"),
    );
  return new RegExp(`^${segments.join("/")}/?$`);
}
