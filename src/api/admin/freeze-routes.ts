import { z } from "zod";
import { freezeRegistry, MAX_FREEZE_SECONDS, thawRegistry } from "../../core/keys/freeze.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { formatTime } from "../keys/responses.ts";
import { timestamp } from "../keys/schemas.ts";

const PATH = "/api/admin/freeze";

export const freezeBody = z
  .strictObject({
    seconds: z
      .int()
      .min(1)
      .max(MAX_FREEZE_SECONDS)
      .meta({ description: "The freeze ends by itself after this time." }),
  })
  .meta({ title: "FreezeRequest" });

export const freezeResponse = z
  .object({ frozen_until: timestamp.nullable().meta({ description: "Null if the registry is not frozen." }) })
  .meta({ title: "FreezeStatus" });

/** The calls with which operators freeze the registry for the last step of a copy. */
export function freezeRoutes(ports: ApiPorts): readonly Endpoint[] {
  return [showRoute(ports), freezeRoute(ports), thawRoute(ports)];
}

function showRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "GET",
    path: PATH,
    summary: "Show whether the registry is frozen",
    access: operators(ports, "keys:read"),
    writes: false,
    response: { status: 200, description: "The end of the freeze.", schema: freezeResponse },
    handle: async (call) => {
      const until = await ports.registry.store.frozenUntil(
        Math.floor(ports.registry.storeClock.storeNowMs() / 1000),
      );
      return call.reply.send(freezeStatus(until));
    },
  });
}

function freezeRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "PUT",
    path: PATH,
    summary: "Freeze the registry",
    description:
      "For the last step of a copy into another store. Every instance answers changes with 503 `registry-frozen`. Checks and revocations go on. A repeated call starts the time again.",
    access: operators(ports, "system:write"),
    writes: true,
    body: freezeBody,
    response: { status: 200, description: "The registry is frozen.", schema: freezeResponse },
    handle: async (call) => {
      const until = await freezeRegistry(ports.registry, call.body.seconds, call.caller);
      return call.reply.send(freezeStatus(until));
    },
  });
}

function thawRoute(ports: ApiPorts): Endpoint {
  return endpoint({
    method: "DELETE",
    path: PATH,
    summary: "End a freeze of the registry",
    access: operators(ports, "system:write"),
    writes: true,
    response: { status: 204, description: "The registry accepts changes." },
    handle: async (call) => {
      await thawRegistry(ports.registry, call.caller);
      return call.reply.code(204).send();
    },
  });
}

function freezeStatus(until: number | undefined) {
  return { frozen_until: until === undefined ? null : formatTime(until) };
}
