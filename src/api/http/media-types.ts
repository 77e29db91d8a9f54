import type { FastifyRequest } from "fastify";

/** The first of these media types that the `Accept` header names. A wildcard names none: JSON is the default of every call. */
export function accepted<Type extends string>(
  { headers }: Pick<FastifyRequest, "headers">,
  types: readonly Type[],
): Type | undefined {
  const named = (headers.accept ?? "").split(",").map((part) => part.split(";")[0]?.trim().toLowerCase());
  return types.find((type) => named.includes(type));
}

/** The path and query of this request with other values; `undefined` removes a parameter. For `Link` (RFC 8288). */
export function withParameters(
  { raw: { url = "" } }: FastifyRequest,
  values: Readonly<Record<string, string | undefined>>,
): string {
  const [path, query] = url.split("?", 2);
  const parameters = new URLSearchParams(query);
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) parameters.delete(name);
    else parameters.set(name, value);
  }
  return `${path}?${parameters}`;
}
