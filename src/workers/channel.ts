import { z } from "zod";

/** Where a worker listens. */
const workerListeners = z.object({ grpc: z.string(), http: z.string(), operator: z.string() });
export type WorkerListeners = z.infer<typeof workerListeners>;

const question = z.enum(["metrics", "readiness", "heartbeat"]);
export type WorkerQuery = z.infer<typeof question>;

/** What the supervisor says to a worker. */
export const order = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("end") }),
  z.object({ kind: z.literal("reload") }),
  z.object({ kind: z.literal("ask"), id: z.number(), what: question }),
]);
export type WorkerCommand = z.infer<typeof order>;

/** What a worker says to the supervisor. */
export const report = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("ready"), doors: workerListeners }),
  z.object({ kind: z.literal("answer"), id: z.number(), text: z.string() }),
]);
export type WorkerReport = z.infer<typeof report>;

const parts = z.record(z.string(), z.enum(["ready", "not_ready", "starting", "waiting", "draining"]));

/** What a worker says of its parts; undefined where it says nothing. */
export function workerParts(text: string | undefined): z.infer<typeof parts> | undefined {
  return text === undefined ? undefined : parts.parse(JSON.parse(text));
}
