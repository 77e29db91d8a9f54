import type { Explain } from "../../core/decision/explain.ts";
import { operators } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint, MAX_TOKEN_BODY_BYTES } from "../http/endpoint.ts";
import { explainBody, explanation } from "./explain-schemas.ts";

/** Explains a decision with the same code that decides. Takes no token and shows no key. */
export function explainRoute(ports: ApiPorts, explain: Explain): Endpoint {
  return endpoint({
    method: "POST",
    path: "/api/admin/explain",
    summary: "Explain a decision, step by step",
    access: operators(ports, "keys:read"),
    writes: false,
    body: explainBody,
    maxBodyBytes: MAX_TOKEN_BODY_BYTES,
    response: { status: 200, description: "The decision and its steps.", schema: explanation },
    handle: async (call) => {
      const explained = await explain(call.body);
      return call.reply.send({ ...explained, route: explained.route ?? null });
    },
  });
}
