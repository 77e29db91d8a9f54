import type { FastifyReply, FastifyRequest, HTTPMethods } from "fastify";
import type { z } from "zod";
import { CONSOLE_HEADER } from "../console/sessions.ts";
import type { Access, OpenAccess } from "./access.ts";
import { InvalidBody, parseForm } from "./json-body.ts";
import type { FieldProblem, ProblemName } from "./problem.ts";
import { sendProblem } from "./problem.ts";

/** One call of the API. The same definition serves the call and describes it in OpenAPI. */
export interface Endpoint {
  readonly method: HTTPMethods & ("GET" | "POST" | "PUT" | "PATCH" | "DELETE");
  /** Parameters are written `{name}`, as in OpenAPI. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  readonly security: "none" | "key" | "operator" | "optional" | "session";
  /** Whether the call may change stored data. If so, the address of every caller without `keys:write` is charged. */
  readonly writes: boolean;
  readonly body?: z.ZodType;
  /** The media type of the body; JSON by default. */
  readonly bodyType?: "application/x-www-form-urlencoded" | "application/x-ndjson";
  /** Set if the body may contain something longer than a Latchkey key, such as a token of another issuer. */
  readonly maxBodyBytes?: number;
  readonly query?: z.ZodType;
  /** Whether the call accepts an `Idempotency-Key`. */
  readonly idempotent?: true;
  readonly response: {
    readonly status: 200 | 201 | 204;
    readonly description: string;
    readonly schema?: z.ZodType;
    /** Further media types in which the caller can have the response. */
    readonly mediaTypes?: readonly string[];
    /** Whether the response is a stream of events, each with data of the schema. */
    readonly isEventStream?: true;
  };
  /** Every problem that the call may return. */
  readonly problems: readonly ProblemName[];
  /** Authenticates, charges and authorizes the caller before the body is read. False if it has sent a denial. */
  admit(request: FastifyRequest, reply: FastifyReply): Promise<boolean>;
  /** Serves an admitted call. */
  run(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply>;
}

/** An admitted call with its parsed body and query. */
export interface Call<Body, Query, Identity = unknown> {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly caller: Identity;
  readonly body: Body;
  readonly query: Query;
  /** The value of `{name}` in the path. */
  param(name: string): string;
}

type Described = Omit<Endpoint, "admit" | "run" | "body" | "query" | "security" | "writes" | "problems">;

interface Definition<Body, Query, Identity> extends Described {
  readonly access: Access<Identity>;
  readonly writes: boolean;
  readonly body?: z.ZodType<Body>;
  readonly query?: z.ZodType<Query>;
  /** The problems of the handler. Those of access, body, query and store are added. */
  readonly problems?: readonly ProblemName[];
  handle(call: Call<Body, Query, Identity>): Promise<FastifyReply>;
}

/** Enough for the largest headers that Envoy accepts (60 KiB), escaped in JSON or in a form. */
export const MAX_TOKEN_BODY_BYTES = 128 * 1024;

/** A call without charge. It has no body and changes nothing. */
interface OpenDefinition extends Described {
  readonly access: OpenAccess;
  readonly problems?: readonly ProblemName[];
  handle(call: Call<undefined, undefined, undefined>): Promise<FastifyReply>;
}

/** Creates an endpoint that requires no credential and changes nothing. */
export function openEndpoint({ access, handle, problems = [], ...described }: OpenDefinition): Endpoint {
  return {
    ...described,
    security: access.security,
    writes: false,
    problems,
    admit: async () => true,
    run: (request, reply) =>
      handle({
        request,
        reply,
        caller: undefined,
        body: undefined,
        query: undefined,
        param: paramsOf(request),
      }),
  };
}

/** Creates an endpoint whose handler runs only for admitted callers, with a valid body and query. */
export function endpoint<Identity, Body = undefined, Query = undefined>(
  definition: Definition<Body, Query, Identity>,
): Endpoint {
  const { access, handle, body, query, ...described } = definition;
  const admitted = new WeakMap<FastifyRequest, { readonly caller: Identity }>();
  return {
    ...described,
    security: access.security,
    problems: problemsOf(definition),
    ...(body && { body }),
    ...(query && { query }),
    async admit(request, reply) {
      const admission = await access.admit(request, reply, definition.writes);
      if (admission !== undefined) admitted.set(request, admission);
      // Caches know that a response to `Authorization` is for one caller. They do not know it of a cookie.
      if (request.headers[CONSOLE_HEADER] !== undefined) void reply.header("cache-control", "no-store");
      return admission !== undefined;
    },
    async run(request, reply) {
      const admission = admitted.get(request);
      if (admission === undefined) throw new Error("the call was not admitted");
      const parsedBody = parsePart(body, request.body, "");
      const parsedQuery = query && parseQuery(query, request);
      if (!parsedBody.ok || parsedQuery?.ok === false) {
        const errors = [parsedBody, parsedQuery].flatMap((part) => (!part || part.ok ? [] : part.errors));
        return sendProblem(reply, "request_invalid", { errors });
      }
      // Without a schema, both the type parameter and the value are undefined.
      const [bodyValue, queryValue] = [parsedBody.value as Body, parsedQuery?.value as Query];
      return handle({
        request,
        reply,
        caller: admission.caller,
        body: bodyValue,
        query: queryValue,
        param: paramsOf(request),
      });
    },
  };
}

function problemsOf<Body, Query, Identity>(
  definition: Definition<Body, Query, Identity>,
): readonly ProblemName[] {
  const { access, writes, body, bodyType, query, problems = [] } = definition;
  const ofBody = ["request_invalid", "body_too_large", "media_type_unsupported"] as const;
  return [
    ...new Set<ProblemName>([
      ...access.problems,
      ...(writes ? (["too_many_calls", "registry_frozen", "store_unavailable"] as const) : []),
      ...(body || bodyType ? ofBody : []),
      ...(query ? (["request_invalid"] as const) : []),
      ...problems,
    ]),
  ];
}

type PartResult<T> =
  | { readonly ok: true; readonly value: T | undefined }
  | { readonly ok: false; readonly errors: readonly FieldProblem[] };

function parsePart<T>(schema: z.ZodType<T> | undefined, value: unknown, root: string): PartResult<T> {
  if (schema === undefined) return { ok: true, value: undefined };
  const parsed = schema.safeParse(value ?? {});
  if (parsed.success) return { ok: true, value: parsed.data };
  const errors = parsed.error.issues.flatMap((issue) => fieldProblems(issue, root));
  // One value can have several errors. The first one is enough to fix it.
  return {
    ok: false,
    errors: [...new Map(errors.reverse().map((error) => [error.pointer, error])).values()].reverse(),
  };
}

function fieldProblems(issue: z.core.$ZodIssue, root: string): FieldProblem[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      pointer: pointerTo(root, [...issue.path, key]),
      detail: "is not a known member",
    }));
  }
  return [{ pointer: pointerTo(root, issue.path), detail: issue.message }];
}

/** A JSON Pointer as a URI fragment (RFC 6901 §6). A lone surrogate, which a URI cannot contain, becomes U+FFFD. */
export function pointerTo(root: string, path: readonly PropertyKey[]): string {
  const tokens = path.map((part) =>
    encodeURIComponent(String(part).toWellFormed().replaceAll("~", "~0").replaceAll("/", "~1")),
  );
  return `#${root}${tokens.map((token) => `/${token}`).join("")}`;
}

/** Parses the query strictly. The parser of Fastify repairs what it cannot decode. */
function parseQuery<T>(schema: z.ZodType<T>, { raw: { url = "" } }: FastifyRequest): PartResult<T> {
  const begin = url.indexOf("?");
  try {
    return parsePart(schema, begin === -1 ? {} : parseForm(url.slice(begin + 1)), "/query");
  } catch (error) {
    if (!(error instanceof InvalidBody)) throw error;
    return { ok: false, errors: [{ pointer: "#/query", detail: error.message }] };
  }
}

function paramsOf({ params }: FastifyRequest): (name: string) => string {
  return (name) => {
    const value: unknown =
      typeof params === "object" && params !== null ? Reflect.get(params, name) : undefined;
    if (typeof value !== "string") throw new Error(`the path has no {${name}}`);
    return value;
  };
}
