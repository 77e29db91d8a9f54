import { z } from "zod";

const operation = z.looseObject({
  security: z.array(z.record(z.string(), z.unknown())).default([]),
  "x-latchkey-writes": z.boolean(),
  requestBody: z.looseObject({ content: z.record(z.string(), z.unknown()) }).optional(),
  responses: z.record(z.string(), z.unknown()),
});

const document = z.looseObject({ paths: z.record(z.string(), z.record(z.string(), operation)) });

/** One call of the API, from its OpenAPI document. */
export interface DescribedCall {
  readonly method: string;
  /** The path with `{name}` for parameters, as in OpenAPI. */
  readonly template: string;
  /** The path with a well-formed value for each parameter. */
  readonly path: string;
  readonly forOperators: boolean;
  readonly writes: boolean;
  readonly bodyType: string | undefined;
  readonly statuses: readonly string[];
}

const PARAMETERS: Readonly<Record<string, string>> = {
  key_id: "basic_1700000000_abcdefghijklmnopqrstuv",
  family: "fam_abcdefghijklmnopqrstuv",
  owner: "acme",
  name: "not-found",
};

/** Every call in the OpenAPI document of a listener. A new call is thus part of each test over the table. */
export async function callsOf(listener: string): Promise<readonly DescribedCall[]> {
  const response = await fetch(`http://${listener}/openapi.json`);
  const { paths } = document.parse(await response.json());
  return Object.entries(paths).flatMap(([template, operations]) =>
    Object.entries(operations).map(([method, described]) => ({
      method: method.toUpperCase(),
      template,
      path: template.replaceAll(/\{(\w+)\}/g, (_, name) => PARAMETERS[name] ?? "x"),
      forOperators:
        described.security.some((scheme) => "operator" in scheme) && described.security.length === 1,
      writes: described["x-latchkey-writes"],
      bodyType: Object.keys(described.requestBody?.content ?? {})[0],
      statuses: Object.keys(described.responses),
    })),
  );
}
