import type { MaybePromise } from "../../core/maybe-promise.ts";
import { ANYONE } from "../http/access.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { openEndpoint } from "../http/endpoint.ts";

/** `waiting`: the component is starting, and the store has not responded yet. */
export type PartState = "ready" | "not_ready" | "starting" | "waiting" | "draining";

/** The readiness of an instance and of its components. */
export interface Readiness {
  readonly ready: boolean;
  readonly parts: Readonly<Record<string, PartState>>;
  /** The server of Redis that holds the registry. */
  readonly redis?: { readonly topology: string; readonly address: string };
}

export interface OpsPorts {
  /** The metrics in the Prometheus text format, and its content type. */
  readonly metrics: () => Promise<{ readonly text: string; readonly contentType: string }>;
  readonly readiness: () => MaybePromise<Readiness>;
}

/** Metrics and health for operations. The responses contain no secret and never wait for a store. */
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
      summary: "Liveness of the process",
      response: { status: 200, description: "The process is alive." },
      async handle({ reply }) {
        return reply.send({ status: "live" });
      },
    }),
    openEndpoint({
      ...common,
      path: "/readyz",
      summary: "Readiness of the instance",
      response: {
        status: 200,
        description:
          "The instance should receive requests; 503 otherwise. Both responses give the state of each component.",
      },
      async handle({ reply }) {
        const { ready, parts, redis } = await ports.readiness();
        const place = redis && { redis: { topology: redis.topology, address: redis.address } };
        return reply.code(ready ? 200 : 503).send({ status: ready ? "ready" : "not_ready", parts, ...place });
      },
    }),
  ];
}
