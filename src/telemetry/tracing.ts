import type { Attributes, Context, SpanContext } from "@opentelemetry/api";
import type { ReadableSpan, SpanExporter } from "@opentelemetry/sdk-trace-base";
import type { Decision } from "../core/decision/decision.ts";
import { DENIALS } from "../core/decision/decision.ts";
import type { AuthRequest } from "../core/decision/request.ts";
import { headerLines } from "../core/decision/request.ts";
import type { Mode } from "../core/policy/policy.ts";
import { withTimeout } from "../core/timeout.ts";

/** What waits for a collector at most; further spans are dropped, so that a dead one costs no memory. */
const MAX_WAITING = 2048;
const SEND_WITHIN_MS = 5000;
/** A stopping instance waits no longer than this for the collector. */
const CLOSE_WITHIN_MS = 3000;

export interface TracingOptions {
  /** The collector's base URL: spans go to `/v1/traces` below it. */
  readonly endpoint: string;
  /** Sent along, such as what the collector knows us by. */
  readonly headers: Readonly<Record<string, string>>;
  /** The share, from 0 to 1, of requests that begin a trace of their own. Others follow the flag of their trace. */
  readonly sample: number;
  readonly version: string;
  readonly nowMs: () => number;
  /** Hears of every batch: what went wrong, or nothing. */
  readonly onExport: (failure: string | undefined) => void;
}

/** A Check, once it is decided. */
export interface TracedCheck {
  readonly decisionId: string;
  readonly elapsedNs: bigint;
  readonly mode: Mode;
  /** One of the two holds the checked request's headers; neither where nothing of it could be read. */
  readonly request?: Pick<AuthRequest, "headers"> | undefined;
  readonly unread?: Pick<AuthRequest, "headers"> | undefined;
}

/** A call at an HTTP door, once it is answered. */
export interface TracedCall {
  readonly method: string;
  /** The endpoint's path, with `{name}` for what varies; absent where there is none. Never what the client wrote. */
  readonly route?: string;
  readonly status: number;
  readonly elapsedMs: number;
  readonly requestId: string;
  readonly traceparent: readonly string[];
}

/** Spans for an OTLP collector. They are made once all is known, and never wait for it. */
export interface Tracing {
  check(decision: Decision, about: TracedCheck): void;
  call(about: TracedCall): void;
  /** Sends what waits. */
  close(): Promise<void>;
}

/** Loads OpenTelemetry's packages, which are optional. Rejects with a sentence when they are not there. */
export async function openTracing(options: TracingOptions): Promise<Tracing> {
  const { api, core, otlp, resources, sdk } = await loadPackages();
  const url = `${options.endpoint.replace(/\/$/, "")}/v1/traces`;
  const headers = { ...options.headers };
  const exporter = new otlp.OTLPTraceExporter({ url, headers, timeoutMillis: SEND_WITHIN_MS });
  const provider = new sdk.BasicTracerProvider({
    resource: resources.resourceFromAttributes({
      "service.name": "latchkey",
      "service.version": options.version,
    }),
    sampler: new sdk.ParentBasedSampler({ root: new sdk.TraceIdRatioBasedSampler(options.sample) }),
    spanProcessors: [
      new sdk.BatchSpanProcessor(reportingExporter(exporter, options.onExport), {
        maxQueueSize: MAX_WAITING,
        scheduledDelayMillis: 500,
      }),
    ],
  });
  const tracer = provider.getTracer("latchkey", options.version);
  const parentOf = (lines: readonly string[]): Context => {
    const [line = ""] = lines;
    // Two lines are no line (W3C Trace Context §3.2); tracestate is not ours to pass on.
    const parent: SpanContext | null = lines.length === 1 ? core.parseTraceParent(line) : null;
    if (parent === null) return api.ROOT_CONTEXT;
    return api.trace.setSpanContext(api.ROOT_CONTEXT, { ...parent, isRemote: true });
  };
  const span = (name: string, { attributes, elapsedMs, failed, traceparent }: FinishedSpan) => {
    const endMs = options.nowMs();
    const kind = api.SpanKind.SERVER;
    const made = tracer.startSpan(
      name,
      { kind, attributes, startTime: endMs - elapsedMs },
      parentOf(traceparent),
    );
    if (failed) made.setStatus({ code: api.SpanStatusCode.ERROR });
    made.end(endMs);
  };
  return {
    check: (decision, about) => span(CHECK, spanOfCheck(decision, about)),
    call: (about) => span(nameOfCall(about), spanOfCall(about)),
    // Of a failure the exporter has told.
    close: () =>
      withTimeout(
        provider.shutdown().catch(() => undefined),
        CLOSE_WITHIN_MS,
        () => undefined,
      ),
  };
}

interface FinishedSpan {
  readonly attributes: Attributes;
  readonly elapsedMs: number;
  /** Whether it is ours that went wrong: a refusal is no failure. */
  readonly failed: boolean;
  readonly traceparent: readonly string[];
}

/** As the gRPC conventions name a call. */
const CHECK = "envoy.service.auth.v3.Authorization/Check";

/** From closed sets, but for the decision's id: no key, no key id, no path, no address. */
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
        onExport(result.code === 0 ? undefined : (result.error?.message ?? "the collector refused them"));
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
      "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry's packages are not there: install without --omit=optional, or unset it",
      { cause },
    );
  }
}
