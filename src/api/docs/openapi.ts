import { z } from "zod";
import { SECURE_COOKIE, secureName } from "../console/session-cookie.ts";
import { HOLDER_SURFACE } from "../console/sessions.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { PROBLEMS, problemSchema } from "../http/problem.ts";

type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json };

/** Builds the OpenAPI 3.1 document from the schemas that validate the requests. */
export function openApiDocument(endpoints: readonly Endpoint[], version: string): Json {
  const schemas: Record<string, Json> = {};
  const paths: Record<string, Record<string, Json>> = {};
  for (const endpoint of endpoints) {
    const path = paths[endpoint.path] ?? {};
    path[endpoint.method.toLowerCase()] = operation(endpoint, schemas);
    paths[endpoint.path] = path;
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Latchkey key API",
      version,
      description:
        "Registers, validates, refreshes and revokes API keys. Errors are problem documents (RFC 9457). The caller is authenticated and authorized before the body is read. A method that a path does not support gets 405 with `Allow`. Calls with `x-latchkey-writes` count against the limit of the client address (`guards.open_calls` of the policy), unless the caller holds `keys:write`.",
    },
    paths,
    components: {
      schemas,
      securitySchemes: {
        key: { type: "http", scheme: "bearer", bearerFormat: "JWT", description: "An API key." },
        operator: {
          type: "http",
          scheme: "bearer",
          description: "`ADMIN_TOKEN`, or a key with operator scopes.",
        },
        session: {
          type: "apiKey",
          in: "cookie",
          name: SECURE_COOKIE,
          description:
            "A session of the console, with its proof in `X-Latchkey-Console`. Every operator call accepts it instead of a credential.",
        },
        holder: {
          type: "apiKey",
          in: "cookie",
          name: secureName(HOLDER_SURFACE.cookie),
          description: "A session of the page for holders, with its proof in `X-Latchkey-Keys`.",
        },
      },
    },
  };
}

function operation(endpoint: Endpoint, schemas: Record<string, Json>): Json {
  const { response: answer } = endpoint;
  const mediaType = answer.isEventStream ? "text/event-stream" : "application/json";
  const content = answer.schema && {
    [mediaType]: { schema: schemaRef(answer.schema, "output", schemas) },
    ...Object.fromEntries((answer.mediaTypes ?? []).map((type) => [type, { schema: { type: "string" } }])),
  };
  return {
    operationId: operationId(endpoint),
    summary: endpoint.summary,
    ...(endpoint.description !== undefined && { description: endpoint.description }),
    ...securityOf(endpoint),
    "x-latchkey-writes": endpoint.writes,
    ...parametersOf(endpoint),
    ...(endpoint.body && {
      requestBody: {
        required: true,
        content: {
          [endpoint.bodyType ?? "application/json"]: { schema: schemaRef(endpoint.body, "input", schemas) },
        },
      },
    }),
    responses: {
      [answer.status]: { description: answer.description, ...(content && { content }) },
      ...problemsOf(endpoint, schemas),
    },
  };
}

/** `post /api/auth/v2/register` → `postAuthV2Register`. The id changes only if the path changes. */
function operationId({ method, path }: Endpoint): string {
  const words = path
    .replace("/api/", "/")
    .split(/[^A-Za-z0-9]+/)
    .filter((word) => word !== "");
  return method.toLowerCase() + words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("");
}

function securityOf({ security }: Endpoint): { readonly security?: Json } {
  switch (security) {
    case "none":
      return {};
    case "optional":
      return { security: [{}, { operator: [] }] };
    case "key":
    case "operator":
    case "session":
    case "holder":
      return { security: [{ [security]: [] }] };
  }
}

function parametersOf(endpoint: Endpoint): { readonly parameters?: Json } {
  const inPath = [...endpoint.path.matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    schema: { type: "string" },
  }));
  const inHeader = endpoint.idempotent
    ? [{ name: "Idempotency-Key", in: "header", required: false, schema: { type: "string", minLength: 22 } }]
    : [];
  const parameters = [...inPath, ...queryParameters(endpoint), ...inHeader];
  return parameters.length === 0 ? {} : { parameters };
}

function queryParameters({ query }: Endpoint): Json[] {
  if (query === undefined) return [];
  const { properties = {} } = toJsonSchema(query, "input");
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: "query",
    required: false,
    schema: toJson(schema),
  }));
}

/** OpenAPI has one response per status. Problems that share a status differ by their `type`. */
function problemsOf({ problems }: Endpoint, schemas: Record<string, Json>): Record<string, Json> {
  const byStatus = new Map<number, string[]>();
  for (const name of problems) {
    const { status, title } = PROBLEMS[name];
    byStatus.set(status, [...(byStatus.get(status) ?? []), `\`${name.replaceAll("_", "-")}\`: ${title}`]);
  }
  const schema = schemaRef(problemSchema, "output", schemas);
  return Object.fromEntries(
    [...byStatus].map(([status, lines]) => [
      String(status),
      { description: lines.join("\n\n"), content: { "application/problem+json": { schema } } },
    ]),
  );
}

/** A schema with a title is written once, under components, and referenced from there. */
function schemaRef(schema: z.ZodType, io: "input" | "output", schemas: Record<string, Json>): Json {
  const title = schema.meta()?.title;
  const inline = toJson(toJsonSchema(schema, io));
  if (title === undefined) return inline;
  schemas[title] = inline;
  return { $ref: `#/components/schemas/${title}` };
}

function toJsonSchema(schema: z.ZodType, io: "input" | "output") {
  const {
    $schema: _,
    id: __,
    ...jsonSchema
  } = z.toJSONSchema(schema, { io, unrepresentable: "any", reused: "inline" });
  return jsonSchema;
}

/** zod's type of a JSON Schema has functions that the values never contain. */
function toJson(value: unknown): Json {
  return JSON.parse(JSON.stringify(value));
}
