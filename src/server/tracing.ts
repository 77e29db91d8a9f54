import type { Settings } from "../config/settings.ts";
import { OUTAGES } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import type { Tracing } from "../telemetry/tracing.ts";
import type { Shutdown } from "./shutdown.ts";

/** Traces for the collector that the settings name; undefined, and nothing is loaded, where they name none. */
export async function openTraces(parts: {
  readonly settings: Settings;
  readonly version: string;
  readonly log: Log;
  readonly closing: Shutdown;
}): Promise<Tracing | undefined> {
  const { OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_TRACES_SAMPLER_ARG } = parts.settings;
  if (OTEL_EXPORTER_OTLP_ENDPOINT === undefined) return undefined;
  const { openTracing } = await import("../telemetry/tracing.ts");
  const tracing = await openTracing({
    endpoint: OTEL_EXPORTER_OTLP_ENDPOINT,
    headers: OTEL_EXPORTER_OTLP_HEADERS ?? {},
    sample: OTEL_TRACES_SAMPLER_ARG,
    version: parts.version,
    nowMs: Date.now,
    onExport: sayingOnce(parts.log),
  });
  parts.closing.defer("the traces", tracing.close);
  return tracing;
}

function sayingOnce(log: Log): (failure: string | undefined) => void {
  let well = true;
  return (failure) => {
    if (failure !== undefined && well) log.warn({ failure }, OUTAGES.traces.failed);
    if (failure === undefined && !well) log.info({}, OUTAGES.traces.healed);
    well = failure === undefined;
  };
}
