import { z } from "zod";
import { name } from "./names.ts";
import { readYaml } from "./yaml-file.ts";

/** What an override gives the owner or the family of a key. */
const caseOverride = z.strictObject({
  plan: name.optional(),
  quotas: z
    .array(z.strictObject({ name, limit: z.int().min(0) }))
    .min(1)
    .optional(),
});

const caseKey = z.strictObject({
  role: z.string(),
  /** By default all scopes of the role. */
  scopes: z.array(z.string()).optional(),
  owner: z.string().optional(),
  plan: name.optional(),
  overrides: z.strictObject({ family: caseOverride.optional(), owner: caseOverride.optional() }).optional(),
  addresses: z.array(z.string()).optional(),
  /** `x5t#S256` of the client certificate that it is bound to. */
  certificate: z.string().optional(),
  state: z
    .enum(["good", "refreshable", "expired", "revoked", "disabled", "superseded", "forged"])
    .default("good"),
});

const requestLine = z.string().regex(/^[A-Z]+ \//, "must be a method and a path, such as GET /v1/chat");

const caseRequest = z.strictObject({
  method: z.string(),
  path: z.string(),
  host: z.string().optional(),
  scheme: z.enum(["http", "https"]).optional(),
  headers: z.record(z.string(), z.union([z.string(), z.array(z.string())])).optional(),
  address: z.string().optional(),
  certificate: z.string().optional(),
  extensions: z.record(z.string(), z.string()).optional(),
});

const decisionCase = z.strictObject({
  name: z.string(),
  request: z.union([requestLine, caseRequest]),
  /** A name of `keys`. */
  key: z.string().optional(),
  in: z
    .string()
    .regex(/^(authorization|x-api-key|(cookie|query):.+)$/, "must be a place of headers.credential")
    .optional(),
  /** The number of times that the request is sent before. The expectation is about the last one. */
  after: z.int().min(1).max(100_000).optional(),
  /** Which store is unavailable during the request. */
  down: z.enum(["limits", "revocations"]).optional(),
  /** `allowed`, or the reason of the denial. */
  expect: z.string(),
  /** The label of the matching route. */
  route: z.string().optional(),
  mode: z.enum(["enforce", "shadow"]).optional(),
});

const caseFile = z.strictObject({
  keys: z.record(z.string(), caseKey).default({}),
  cases: z.array(decisionCase).min(1),
});

/** Named keys and requests with their expected decisions. The file lies beside a policy and is run against it. */
export type CaseFile = z.output<typeof caseFile>;
export type CaseKey = CaseFile["keys"][string];
export type DecisionCase = CaseFile["cases"][number];

export type CaseFileResult =
  | { readonly ok: true; readonly file: CaseFile; lineOf(index: number): number }
  /** Each problem is a line `FILE:LINE: what is wrong`. */
  | { readonly ok: false; readonly problems: readonly string[] };

/** Parses one file of cases. Reports every problem. */
export function parseCases(text: string, fileName: string): CaseFileResult {
  const yaml = readYaml(text, fileName);
  if (!yaml.ok) return yaml;
  const parsed = caseFile.safeParse(yaml.value);
  const problems = parsed.success
    ? [...unknownKeys(parsed.data), ...conflictingOverrides(parsed.data)].map(({ path, message }) =>
        yaml.problemAt(path, message),
      )
    : parsed.error.issues.map(({ path, message }) => yaml.problemAt(path, `${path.join(".")}: ${message}`));
  if (!parsed.success || problems.length > 0) return { ok: false, problems };
  return { ok: true, file: parsed.data, lineOf: (index) => yaml.lineOf(["cases", index]) };
}

function unknownKeys({ keys, cases }: CaseFile) {
  return cases.flatMap(({ key }, index) =>
    key === undefined || Object.hasOwn(keys, key)
      ? []
      : [{ path: ["cases", index, "key"], message: `there is no key "${key}"` }],
  );
}

/** All keys of an owner share its override, so a file gives it once, or always the same. */
function conflictingOverrides({ keys }: CaseFile) {
  const first = new Map<string, { readonly key: string; readonly text: string }>();
  return Object.entries(keys).flatMap(([key, { owner, overrides }]) => {
    if (owner === undefined || overrides?.owner === undefined) return [];
    const text = JSON.stringify(overrides.owner);
    const known = first.get(owner) ?? { key, text };
    first.set(owner, known);
    if (known.text === text) return [];
    const message = `the key "${known.key}" gives the owner "${owner}" another override`;
    return [{ path: ["keys", key, "overrides", "owner"], message }];
  });
}
