import { z } from "zod";
import { KEY_ORIGINS, KEY_STATES, STEP_WAITS } from "../../core/keys/signing-rotation.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";

const time = z.iso.datetime();

export const signingKey = z
  .object({
    kid: z.string(),
    alg: z.string(),
    origin: z.enum(KEY_ORIGINS).meta({
      description: "The setting that it comes from. `generated`: a secret that the store keeps.",
    }),
    state: z.enum(KEY_STATES).meta({
      description:
        "It signs, waits for promotion, signed formerly, or verifies. `verifies` is also a secret of which nothing records whether it is the next or a former one.",
    }),
    added_at: time.nullable().meta({
      description:
        "The file's `added_at`, or when an instance first had the key. Null if it is not known yet.",
    }),
    signs_from: time.nullable().meta({ description: "As the file states it." }),
    signed_until: time.nullable().meta({ description: "As the file states it." }),
    retire_at: time.nullable().meta({
      description:
        "When every API key that it signed has expired. Null if its end as a signing key is not recorded.",
    }),
    accepted_by: z.int().meta({ description: "Instances that accept it." }),
    signed_by: z.int().meta({ description: "Instances that sign with it." }),
  })
  .meta({ title: "SigningKey" });

export const rotationStep = z
  .object({
    step: z.enum(["add", "promote", "retire"]),
    kid: z.string().nullable().meta({ description: "Null for `add`." }),
    waits_for: z.enum(STEP_WAITS).nullable().meta({
      description:
        "Null: the step can be taken now. `instances`: some instance does not have the step before. `expiry`: API keys that it signed may still be valid. `unknown_end`: nothing records when it stopped signing. `setting`: set `JWT_SECRET` or `JWT_KEYS_FILE` first.",
    }),
    not_before: time.nullable().meta({ description: "When `expiry` ends." }),
  })
  .meta({ title: "RotationStep" });

export const signingKeysResponse = z
  .object({
    keys: z.array(signingKey).meta({ description: "The signing key comes first." }),
    keys_file: z.string().nullable().meta({ description: "`JWT_KEYS_FILE`." }),
    instances: z.int().meta({ description: "Instances with a heartbeat within the last 20 seconds." }),
    longest_ttl_seconds: z.int().meta({ description: "The longest lifetime of a key in the policy." }),
    next: rotationStep,
  })
  .meta({ title: "SigningKeys" });

export type SigningKeysBody = z.output<typeof signingKeysResponse>;

/** Shows the keys that sign and verify, and the next step of their rotation. */
export function signingKeysRoute(ports: ApiPorts, read: () => SigningKeysBody): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/signing-keys",
    summary: "Show the signing keys and the next step of their rotation",
    description: "Shows names and times. `latchkey secrets` takes the steps.",
    access: operators(ports, "system:read"),
    writes: false,
    response: { status: 200, description: "The keys of this instance.", schema: signingKeysResponse },
    handle: async (call) => call.reply.send(read()),
  });
}
