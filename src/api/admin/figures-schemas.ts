import { z } from "zod";
import { statusResponse } from "./status-route.ts";

/** The figures of an instance between two events of the stream. */
export const figures = z
  .object({
    at: z.iso.datetime(),
    seconds: z.number().meta({ description: "The time that the figures cover." }),
    decisions: z.array(
      z.object({
        verdict: z.enum(["allow", "deny"]),
        reason: z.string().meta({ description: "`allowed`, or the reason of a denial." }),
        mode: z.enum(["enforce", "shadow"]),
        per_second: z.number(),
      }),
    ),
    latency: z
      .object({ p50_ms: z.number().nullable(), p99_ms: z.number().nullable() })
      .meta({ description: "Estimated from the histogram of durations. Null without decisions." }),
    status: statusResponse,
  })
  .meta({ title: "Figures" });

export type FiguresBody = z.output<typeof figures>;
