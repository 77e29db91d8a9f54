import { z } from "zod";
import type { CredentialSource } from "../../core/decision/credential.ts";

/** Envoy accepts 60 KiB of headers, so every request can be explained. */
const text = z.string().max(65_536);

const source = z
  .string()
  .refine(
    (name): name is CredentialSource =>
      /^(?:authorization|x-api-key|(?:cookie|query):[A-Za-z0-9_.-]{1,64})$/.test(name),
    "must be authorization, x-api-key, cookie:NAME or query:NAME",
  );

export const explainBody = z
  .strictObject({
    method: z.string().regex(/^[A-Za-z]{1,32}$/, "must be an HTTP method"),
    path: text.min(1).meta({ description: "With the query." }),
    host: z.string().max(255).optional(),
    scheme: z.enum(["http", "https"]).optional().meta({ description: "`https` by default." }),
    headers: z.record(z.string().max(256), z.union([text, z.array(text).max(16)])).optional(),
    address: z.string().max(64).optional().meta({ description: "Envoy's peer." }),
    certificate: z
      .string()
      .max(64)
      .optional()
      .meta({ description: "`x5t#S256` of the client's certificate; none by default." }),
    extensions: z
      .record(z.string().max(256), text)
      .optional()
      .meta({ description: "`context_extensions` of Envoy's configuration." }),
    key: text.optional().meta({ description: "No response and no log contains it." }),
    in: source
      .optional()
      .meta({ description: "Where the key is presented; the policy's first source by default." }),
  })
  .meta({ title: "DescribedRequest" });

export const explanation = z
  .object({
    verdict: z.enum(["allow", "deny"]),
    reason: z.string(),
    status: z.int().meta({ description: "The client's status. 200 stands for the upstream's own status." }),
    mode: z.enum(["enforce", "shadow"]),
    route: z.string().nullable(),
    steps: z.array(z.object({ step: z.string(), observed: z.string(), outcome: z.string() })),
  })
  .meta({ title: "Explanation" });
