import type { FastifyReply, FastifyRequest, HTTPMethods } from "fastify";
import type { z } from "zod";
import type { Access, OpenAccess } from "./access.ts";
import { InvalidBody, parseForm } from "./json-body.ts";
import type { FieldProblem, ProblemName } from "./problem.ts";
import { sendProblem } from "./problem.ts";

/** One call of the API: what serves it and what describes it in OpenAPI come from the same lines. */
export interface Endpoint {
  readonly method: HTTPMethods & ("GET" | "POST" | "PUT" | "PATCH" | "DELETE");
  /** With `{name}` for what varies, as OpenAPI writes it. */
  readonly path: string;
  readonly summary: string;
  readonly description?: string;
  readonly security: "none" | "key" | "operator" | "optional";
  /** Whether it may change what is stored: then every caller without `keys:write` is charged by its address. */
  readonly writes: boolean;
  readonly body?: z.ZodType;
  /** How the body comes; JSON unless it says otherwise. */
  readonly bodyType?: "application/x-www-form-urlencoded" | "application/x-ndjson";
  /** Where the body holds what may be longer than a key of ours, such as another issuer's token. */
  readonly maxBodyBytes?: number;
  readonly query?: z.ZodType;
  /** Whether the call takes an `Idempotency-Key`. */
  readonly idempotent?: true;
  readonly response: {
    readonly status: 200 | 201 | 204;
    readonly description: string;
    readonly schema?: z.ZodType;
  };
  /** Every problem that it may answer. */
  readonly problems: readonly ProblemName[];
  /** Authenticates, charges and authorizes, before the body is read. False once a refusal has been sent. */
  admit(request: FastifyRequest, reply: FastifyReply): Promise<boolean>;
  /** Answers a call that was admitted. */
  run(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply>;
}

/** A call that was admitted, and whose body and query have been parsed. */
export interface Call<Body, Query, Who = unknown> {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly caller: Who;
  readonly body: Body;
  readonly query: Query;
  /** What stood for `{name}` in the path. */
  param(name: string): string;
}

type Described = Omit<Endpoint, "admit" | "run" | "body" | "query" | "security" | "writes" | "problems">;

interface Definition<Body, Query, Who> extends Described {
  readonly access: Access<Who>;
  readonly writes: boolean;
  readonly body?: z.ZodType<Body>;
  readonly query?: z.ZodType<Query>;
  /** Beside those of its access, its body and its store. */
  readonly problems?: readonly ProblemName[];
  handle(call: Call<Body, Query, Who>): Promise<FastifyReply>;
}

/** Enough for all that Envoy takes of headers (60 KiB), and for its escapes in JSON or in a form. */
export const MAX_TOKEN_BODY_BYTES = 128 * 1024;

/** What anyone may call uncharged takes no body and changes nothing. */
interface OpenDefinition extends Described {
  readonly access: OpenAccess;
  readonly problems?: readonly ProblemName[];
  handle(call: Call<undefined, undefined, undefined>): Promise<FastifyReply>;
}

/** Makes an endpoint that anyone may call and that changes nothing. */
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

/** Makes an endpoint whose handler sees only callers that were admitted, and what its schemas let through. */
export function endpoint<Who, Body = undefined, Query = undefined>(
  definition: Definition<Body, Query, Who>,
): Endpoint {
  const { access, handle, body, query, ...described } = definition;
  const admitted = new WeakMap<FastifyRequest, { readonly caller: Who }>();
  return {
    ...described,
    security: access.security,
    problems: problemsOf(definition),
    ...(body && { body }),
    ...(query && { query }),
    async admit(request, reply) {
      const found = await access.admit(request, reply, definition.writes);
      if (found !== undefined) admitted.set(request, found);
      return found !== undefined;
    },
    async run(request, reply) {
      const found = admitted.get(request);
      if (found === undefined) throw new Error("a call is run that was not admitted");
      const parsedBody = parsePart(body, request.body, "");
      const parsedQuery = query && parseQuery(query, request);
      if (!parsedBody.ok || parsedQuery?.ok === false) {
        const errors = [parsedBody, parsedQuery].flatMap((part) => (!part || part.ok ? [] : part.errors));
        return sendProblem(reply, "request_invalid", { errors });
      }
      // Without a schema the type parameter is undefined, and so is the value.
      const [bodyValue, queryValue] = [parsedBody.value as Body, parsedQuery?.value as Query];
      return handle({
        request,
        reply,
        caller: found.caller,
        body: bodyValue,
        query: queryValue,
        param: paramsOf(request),
      });
    },
  };
}

function problemsOf<Body, Query, Who>(definition: Definition<Body, Query, Who>): readonly ProblemName[] {
  const { access, writes, body, bodyType, query, problems = [] } = definition;
  const ofBody = ["request_invalid", "body_too_large", "media_type_unsupported"] as const;
  return [
    ...new Set<ProblemName>([
      ...access.problems,
      ...(writes ? (["too_many_calls", "store_unavailable"] as const) : []),
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
  // One number can be wrong in several ways; one of them is enough to mend it.
  return {
    ok: false,
    errors: [...new Map(errors.reverse().map((error) => [error.pointer, error])).values()].reverse(),
  };
}

function fieldProblems(issue: z.core.$ZodIssue, root: string): FieldProblem[] {
  if (issue.code === "unrecognized_keys") {
    return issue.keys.map((key) => ({
      pointer: pointerTo(root, [...issue.path, key]),
      detail: "unknown member",
    }));
  }
  return [{ pointer: pointerTo(root, issue.path), detail: issue.message }];
}

/** RFC 6901 §6: a JSON Pointer as a URI fragment. Half a character, which a URI cannot hold, is shown as U+FFFD. */
export function pointerTo(root: string, path: readonly PropertyKey[]): string {
  const tokens = path.map((part) =>
    encodeURIComponent(String(part).toWellFormed().replaceAll("~", "~0").replaceAll("/", "~1")),
  );
  return `#${root}${tokens.map((token) => `/${token}`).join("")}`;
}

/** Fastify's own parser repairs what it cannot decode, so the query is read here, and strictly. */
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
