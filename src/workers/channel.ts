import { z } from "zod";

/** The addresses of a worker's listeners. */
const workerListeners = z.object({
  grpc: z.string(),
  http: z.string(),
  operator: z.string(),
  auth: z.string().optional(),
});
export type WorkerListeners = z.infer<typeof workerListeners>;

const query = z.enum(["metrics", "readiness", "heartbeat"]);
export type WorkerQuery = z.infer<typeof query>;

/** A message from the supervisor to a worker. */
export const workerCommand = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("end") }),
  z.object({ kind: z.literal("reload") }),
  z.object({ kind: z.literal("query"), id: z.number(), query }),
]);
export type WorkerCommand = z.infer<typeof workerCommand>;

/** A message from a worker to the supervisor. */
export const workerReport = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("ready"), listeners: workerListeners }),
  z.object({ kind: z.literal("response"), id: z.number(), text: z.string() }),
]);
export type WorkerReport = z.infer<typeof workerReport>;

const states = z.record(z.string(), z.enum(["ready", "not_ready", "starting", "waiting", "draining"]));

/** The component states in a worker's response; undefined without a response. */
export function parseStates(text: string | undefined): z.infer<typeof states> | undefined {
  return text === undefined ? undefined : states.parse(JSON.parse(text));
}
