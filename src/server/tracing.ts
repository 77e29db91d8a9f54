import { createOutageLog } from "../telemetry/outage-log.ts";
import { OUTAGES } from "../telemetry/outage-messages.ts";
import type { Tracing } from "../telemetry/tracing.ts";
import type { Runtime } from "./runtime.ts";

/** Tracing for the collector that the settings name. Without a collector it is undefined, and OpenTelemetry is not loaded. */
export async function openTraces(
  { settings, log, shutdown }: Pick<Runtime, "settings" | "log" | "shutdown">,
  version: string,
): Promise<Tracing | undefined> {
  const { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER_ARG } = settings;
  if (OTEL_EXPORTER_OTLP_ENDPOINT === undefined) return undefined;
  const { openTracing } = await import("../telemetry/tracing.ts");
  const outage = createOutageLog(log, OUTAGES.traces);
  const tracing = await openTracing({
    endpoint: OTEL_EXPORTER_OTLP_ENDPOINT,
    headers: OTEL_EXPORTER_OTLP_HEADERS ?? {},
    sample: OTEL_TRACES_SAMPLER_ARG,
    version,
    nowMs: Date.now,
    onExport: (failure) => (failure === undefined ? outage.works() : outage.failed({ failure })),
  });
  shutdown.defer("the traces", tracing.close);
  return tracing;
}
