import type { Attributes, Context, SpanContext } from "@opentelemetry/api";
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base";
import type { Decision } from "../core/decision/decision.ts";
import { DENIALS } from "../core/decision/decision.ts";
import type { AuthRequest } from "../core/decision/request.ts";
import { headerLines } from "../core/decision/request.ts";
import type { Mode } from "../core/policy/policy.ts";
import { withTimeout } from "../core/timeout.ts";

/** Spans that wait for the collector. Further ones are dropped, so that an unavailable collector costs no memory. */
const MAX_QUEUED_SPANS = 2048;
const EXPORT_TIMEOUT_MS = 5000;
/** A stopping instance waits this long for the collector. */
const CLOSE_TIMEOUT_MS = 3000;

export interface TracingOptions {
  /** The collector's base URL. Spans go to `/v1/traces` below it. */
  readonly endpoint: string;
  /** Headers of the export requests, such as credentials. */
  readonly headers: Readonly<Record<string, string>>;
  /** The share, from 0 to 1, of requests without a trace that start one. Others follow the sampled flag of their trace. */
  readonly sample: number;
  readonly version: string;
  readonly nowMs: () => number;
  /** Called after every batch, with the failure if there was one. */
  readonly onExport: (failure: string | undefined) => void;
}

/** A decided Check. */
export interface TracedCheck {
  readonly decisionId: string;
  /** The name of its span. */
  readonly operation: string;
  readonly elapsedNs: bigint;
  readonly mode: Mode;
  /** The checked request's headers, in one of the two. Both are undefined if the request could not be decoded. */
  readonly request?: Pick<AuthRequest, "headers"> | undefined;
  readonly unread?: Pick<AuthRequest, "headers"> | undefined;
}

/** A completed call of the HTTP API. */
export interface TracedCall {
  readonly method: string;
  /** The endpoint's path template, with `{name}` for variables; absent without an endpoint. Never the client's own path. */
  readonly route?: string;
  readonly status: number;
  readonly elapsedMs: number;
  readonly requestId: string;
  readonly traceparent: readonly string[];
}

/** Creates spans for an OTLP collector after the fact. No request waits for the collector. */
export interface Tracing {
  check(decision: Decision, about: TracedCheck): void;
  call(about: TracedCall): void;
  /** Exports the queued spans. */
  close(): Promise<void>;
}

/** Loads OpenTelemetry's optional packages. Rejects with a sentence if they are not installed. */
export async function openTracing(options: TracingOptions): Promise<Tracing> {
  const { api, core, otlp, resources, sdk } = await loadPackages();
  const url = `${options.endpoint.replace(/\/$/, "")}/v1/traces`;
  const headers = { ...options.headers };
  const exporter = new otlp.OTLPTraceExporter({ url, headers, timeoutMillis: EXPORT_TIMEOUT_MS });
  const provider = new sdk.BasicTracerProvider({
    resource: resources.resourceFromAttributes({
      "service.name": "latchkey",
      "service.version": options.version,
    }),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(options.sample) }),
    spanProcessors: [
      new sdk.BatchSpanProcessor(reportingExporter(exporter, options.onExport), {
        maxQueueSize: MAX_QUEUED_SPANS,
        scheduledDelayMillis: 500,
      }),
    ],
  });
  const tracer = provider.getTracer("latchkey", options.version);
  const parentOf = (lines: readonly string[]): Context => {
    const [line = ""] = lines;
    // Several traceparent lines count as none (W3C Trace Context §3.2). We do not forward tracestate.
    const parent: SpanContext | null = lines.length === 1 ? core.parseTraceParent(line) : null;
    if (parent === null) return api.ROOT_CONTEXT;
    return api.trace.setSpanContext(api.ROOT_CONTEXT, { ...parent, isRemote: true });
  };
  const span = (name: string, { attributes, elapsedMs, failed, traceparent }: FinishedSpan) => {
    const endMs = options.nowMs();
    const kind = api.SpanKind.SERVER;
    const created = tracer.startSpan(
      name,
      { kind, attributes, startTime: endMs - elapsedMs },
      parentOf(traceparent),
    );
    if (failed) created.setStatus({ code: api.SpanStatusCode.ERROR });
    created.end(endMs);
  };
  return {
    check: (decision, about) => span(about.operation, spanOfCheck(decision, about)),
    call: (about) => span(nameOfCall(about), spanOfCall(about)),
    // The exporter has reported a failure.
    close: () =>
      withTimeout(
        provider.shutdown().catch(() => undefined),
        CLOSE_TIMEOUT_MS,
        () => undefined,
      ),
  };
}

interface FinishedSpan {
  readonly attributes: Attributes;
  readonly elapsedMs: number;
  /** Whether Latchkey failed. A denial is not a failure. */
  readonly failed: boolean;
  readonly traceparent: readonly string[];
}

/** Attributes come from closed sets, except the decision id. No key, key id, path or address. */
function spanOfCheck(
  decision: Decision,
  { decisionId, elapsedNs, mode, request = NOTHING_READ, unread = request }: TracedCheck,
): FinishedSpan {
  const { verdict, reason, route, principal } = decision;
  return {
    attributes: {
      "latchkey.verdict": verdict,
      "latchkey.reason": reason,
      "latchkey.mode": mode,
      "latchkey.decision_id": decisionId,
      ...(route && { "latchkey.route": route.label }),
      ...(principal && { "latchkey.role": principal.role }),
    },
    elapsedMs: Number(elapsedNs) / 1e6,
    failed: reason !== "allowed" && DENIALS[reason].status === 503,
    traceparent: headerLines(unread, "traceparent"),
  };
}

const NOTHING_READ = { headers: new Map<string, readonly string[]>() };

function nameOfCall({ method, route }: TracedCall): string {
  return route === undefined ? method : `${method} ${route}`;
}

function spanOfCall({ method, route, status, elapsedMs, requestId, traceparent }: TracedCall): FinishedSpan {
  return {
    attributes: {
      "http.request.method": method,
      "http.response.status_code": status,
      "latchkey.request_id": requestId,
      ...(route !== undefined && { "http.route": route }),
    },
    elapsedMs,
    failed: status >= 500,
    traceparent,
  };
}

function reportingExporter(exporter: SpanExporter, onExport: TracingOptions["onExport"]): SpanExporter {
  return {
    export: (spans: ReadableSpan[], done) =>
      exporter.export(spans, (result) => {
        onExport(result.code === 0 ? undefined : (result.error?.message ?? "the collector rejected them"));
        done(result);
      }),
    shutdown: () => exporter.shutdown(),
  };
}

async function loadPackages() {
  try {
    const [api, core, otlp, resources, sdk] = await Promise.all([
      import("@opentelemetry/api"),
      import("@opentelemetry/core"),
      import("@opentelemetry/exporter-trace-otlp-proto"),
      import("@opentelemetry/resources"),
      import("@opentelemetry/sdk-trace-base"),
    ]);
    return { api, core, otlp, resources, sdk };
  } catch (cause) {
    throw new Error(
      "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry's packages are not installed: install without --omit=optional, or unset it",
      { cause },
    );
  }
}
