import { z } from "zod";
import type { DescribedSetting } from "../../config/described-settings.ts";
import { SETTING_SOURCES } from "../../config/described-settings.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";

export const shownSetting = z
  .object({
    name: z.string(),
    group: z.string().meta({ description: "Its heading in docs/reference/settings.md." }),
    meaning: z.string(),
    secret: z.boolean(),
    source: z.enum(SETTING_SOURCES).meta({
      description: "`derived`: from other settings. `generated`: a secret that the store keeps.",
    }),
    value: z
      .string()
      .nullable()
      .meta({ description: "Null for a secret, and for a setting without a value." }),
    file: z.string().nullable().meta({ description: "The file that holds a secret." }),
    default: z.string().nullable(),
  })
  .meta({ title: "Setting" });

export const settingsResponse = z
  .object({
    settings: z.array(shownSetting),
  })
  .meta({ title: "Settings" });

/** Shows the settings of this instance. No secret is among them. */
export function settingsRoute(ports: ApiPorts, settings: readonly DescribedSetting[]): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/settings",
    summary: "Show the settings of this instance",
    description: "Shows no secret, and nothing that is made from one.",
    access: operators(ports, "system:read"),
    writes: false,
    response: { status: 200, description: "Every setting.", schema: settingsResponse },
    handle: async (call) => call.reply.send({ settings: settings.map(settingBody) }),
  });
}

function settingBody({ name, group, meaning, isSecret, source, ...optional }: DescribedSetting) {
  const { value = null, file = null, default: byDefault = null } = optional;
  return { name, group, meaning, secret: isSecret, source, value, file, default: byDefault };
}
