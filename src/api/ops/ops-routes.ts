import type { MaybePromise } from "../../core/maybe-promise.ts";
import { ANYONE } from "../http/access.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { openEndpoint } from "../http/endpoint.ts";

/** `waiting`: it is starting, and the store has not answered yet. */
export type PartState = "ready" | "not_ready" | "starting" | "waiting" | "draining";

/** What an instance says of itself. */
export interface Readiness {
  readonly ready: boolean;
  readonly parts: Readonly<Record<string, PartState>>;
}

export interface OpsPorts {
  /** The metrics in Prometheus's text form, and its content type. */
  readonly metrics: () => Promise<{ readonly text: string; readonly contentType: string }>;
  readonly readiness: () => MaybePromise<Readiness>;
}

/** What those who run Latchkey ask: they hold no secret, and never wait for a store. */
export function opsRoutes(ports: OpsPorts): readonly Endpoint[] {
  const common = { method: "GET", access: ANYONE } as const;
  return [
    openEndpoint({
      ...common,
      path: "/metrics",
      summary: "Metrics for Prometheus",
      response: { status: 200, description: "Metrics." },
      async handle({ reply }) {
        const { text, contentType } = await ports.metrics();
        return reply.type(contentType).send(text);
      },
    }),
    openEndpoint({
      ...common,
      path: "/livez",
      summary: "Whether the process lives",
      response: { status: 200, description: "It does." },
      async handle({ reply }) {
        return reply.send({ status: "live" });
      },
    }),
    openEndpoint({
      ...common,
      path: "/readyz",
      summary: "Whether the instance should get requests",
      response: {
        status: 200,
        description: "It should; 503 otherwise. Both say which part can do its work.",
      },
      async handle({ reply }) {
        const { ready, parts } = await ports.readiness();
        return reply.code(ready ? 200 : 503).send({ status: ready ? "ready" : "not_ready", parts });
      },
    }),
  ];
}
