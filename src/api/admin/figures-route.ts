import type { FastifyRequest } from "fastify";
import { callerHas } from "../../core/keys/operator.ts";
import { operators } from "../http/access.ts";
import { callerOf } from "../http/caller.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import type { EventStreams } from "../http/event-streams.ts";
import { figures } from "./figures-schemas.ts";

const SCOPE = "keys:read";

/** Streams the figures of this instance. */
export function figuresRoute(ports: ApiPorts, streams: EventStreams): Endpoint {
  return endpoint({
    method: "GET",
    path: "/api/admin/figures",
    summary: "Stream the figures of this instance",
    description:
      "Server-sent events, one every two seconds, each with the figures as JSON. The stream ends with an event `end` when the credential or the session is no longer valid. An instance has at most 64 streams, and half of them for one caller.",
    access: operators(ports, SCOPE),
    writes: false,
    response: {
      status: 200,
      description: "The stream. The schema is that of the data of an event.",
      schema: figures,
      isEventStream: true,
    },
    problems: ["too_many_streams"],
    handle: ({ request, reply }) => streams.open(request, reply, () => denialOf(request, ports)),
  });
}

/** Why the caller of an open stream is no longer admitted. */
async function denialOf(request: FastifyRequest, ports: ApiPorts): Promise<string | undefined> {
  const found = await callerOf(request, ports);
  const problem = found.ok ? "operator_scope_missing" : found.problem;
  return found.ok && callerHas(found.caller, SCOPE) ? undefined : problem.replaceAll("_", "-");
}
