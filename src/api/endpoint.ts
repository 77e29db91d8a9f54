import type { FastifyReply, FastifyRequest, HTTPMethods } from "fastify";
import type { z } from "zod";
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
  readonly body?: z.ZodType;
  /** How the body comes; JSON unless it says otherwise. */
  readonly bodyType?: "application/x-www-form-urlencoded" | "application/x-ndjson";
  /** Where the body holds what may be longer than a key of ours, such as another issuer's token. */
  readonly maxBodyBytes?: number;
  readonly query?: z.ZodType;
  /** Whether the call takes an `Idempotency-Key`. */
  readonly idempotent?: true;
  readonly answer: {
    readonly status: 200 | 201 | 204;
    readonly description: string;
    readonly schema?: z.ZodType;
  };
  readonly problems: readonly ProblemName[];
  run(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply>;
}

/** A call whose body and query have been parsed. */
export interface Call<Body, Query> {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly body: Body;
  readonly query: Query;
  /** What stood for `{name}` in the path. */
  param(name: string): string;
}

interface Definition<Body, Query> extends Omit<Endpoint, "run" | "body" | "query"> {
  readonly body?: z.ZodType<Body>;
  readonly query?: z.ZodType<Query>;
  handle(call: Call<Body, Query>): Promise<FastifyReply>;
}

/** Enough for all that Envoy takes of headers (60 KiB), and for its escapes in JSON or in a form. */
export const MAX_TOKEN_BODY_BYTES = 128 * 1024;

/** Makes an endpoint whose handler sees only what its schemas let through. */
export function endpoint<Body = undefined, Query = undefined>(definition: Definition<Body, Query>): Endpoint {
  const { handle, body, query, ...described } = definition;
  return {
    ...described,
    ...(body && { body }),
    ...(query && { query }),
    async run(request, reply) {
      const parsedBody = parsePart(body, request.body, "");
      const parsedQuery = parsePart(query, request.query, "/query");
      if (!parsedBody.ok || !parsedQuery.ok) {
        const errors = [parsedBody, parsedQuery].flatMap((part) => (part.ok ? [] : part.errors));
        return sendProblem(reply, "request_invalid", { errors });
      }
      // Without a schema the type parameter is undefined, and so is the value.
      const [bodyValue, queryValue] = [parsedBody.value as Body, parsedQuery.value as Query];
      return handle({
        request,
        reply,
        body: bodyValue,
        query: queryValue,
        param: (name) => paramOf(request, name),
      });
    },
  };
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

function paramOf({ params }: FastifyRequest, name: string): string {
  const value: unknown =
    typeof params === "object" && params !== null ? Reflect.get(params, name) : undefined;
  if (typeof value !== "string") throw new Error(`the path has no {${name}}`);
  return value;
}
