import { z } from "zod";
import { OPERATOR_SCOPES } from "../../core/keys/operator.ts";

const time = z.iso.datetime();

export const operatorScope = z.enum(OPERATOR_SCOPES);

export const signInBody = z
  .strictObject({
    credential: z
      .string()
      .min(1)
      .max(8192)
      .optional()
      .meta({ description: "An operator token, or a key with operator scopes." }),
    link: z.string().min(1).max(12_000).optional().meta({ description: "The code of a sign-in link." }),
  })
  .refine(({ credential, link }) => (credential === undefined) !== (link === undefined), {
    message: "must have either credential or link",
  })
  .meta({ title: "SignIn" });

export const sessionResponse = z
  .object({
    name: z.string().meta({ description: "The caller in audit lines." }),
    kind: z.enum(["admin", "key", "person"]),
    scopes: z.array(operatorScope).meta({ description: "The operator scopes that it has now." }),
    started_at: time,
    ends_at: time.meta({ description: "When it ends without a further action." }),
    ends_at_latest: time,
  })
  .meta({ title: "ConsoleSession" });

export const openedSessionResponse = sessionResponse
  .extend({
    proof: z.string().meta({ description: "Each call of a page sends it as `X-Latchkey-Console`." }),
  })
  .meta({ title: "OpenedConsoleSession" });

export const linkResponse = z
  .object({
    link: z.string().meta({ description: "For the fragment of `/console#link=…`. It works once." }),
    expires_at: time,
  })
  .meta({ title: "ConsoleLink" });
