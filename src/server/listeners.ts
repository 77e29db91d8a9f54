import type { Endpoint } from "../api/http/endpoint.ts";
import type { HttpServer } from "../api/http/server.ts";
import { startHttpServer } from "../api/http/server.ts";
import type { PartState } from "../api/ops/ops-routes.ts";
import type { ListenerTls } from "../config/certificates.ts";
import { watchCertificate } from "../config/certificates.ts";
import type { TlsListener } from "../config/load.ts";
import { certificateFiles } from "../config/load.ts";
import type { Listen } from "../config/parsers.ts";
import { formatListen } from "../config/parsers.ts";
import type { Settings } from "../config/settings.ts";
import type { CompletedCall } from "../core/audit/ports.ts";
import { revocationsAreStale } from "../core/decision/judge-credential.ts";
import type { Check } from "../ext-authz/check.ts";
import { checkMethod } from "../ext-authz/method.ts";
import type { GrpcServer } from "../grpc/server.ts";
import { startGrpcServer } from "../grpc/server.ts";
import type { ActivePolicy } from "../policy/active-policy.ts";
import { callFaulted, FAULTS, OUTAGES } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import type { Metrics } from "../telemetry/metrics/metrics.ts";
import type { ApiDeps } from "./api-endpoints.ts";
import { apiEndpoints } from "./api-endpoints.ts";
import { CLOCK_NOT_READY_MS } from "./fleet.ts";
import type { OpsListener } from "./ops-listener.ts";
import { UNKNOWN_FLEET } from "./ops-listener.ts";
import type { Shutdown } from "./shutdown.ts";

/** Calls still open when everything else has ended are cut off after this. */
const CLOSE_GRACE_MS = 5000;
/** Readiness may change without a word from anybody: Envoy hears of it within this. */
const READINESS_EVERY_MS = 250;

/** Where each listener is, once its port is known. */
export type Addresses = Readonly<Record<"grpc" | "http" | "operator" | "ops", string>>;

export interface Listeners {
  /** Says that the start waits for the store. From now on the listeners are open, and deny. Rejects when one cannot be opened. */
  waits(): Promise<void>;
  /** From now on this is what the listeners do, and what they say of themselves. Rejects when one cannot be opened. */
  serve(parts: ServingDeps): Promise<Addresses>;
  /** Says NOT_SERVING and not ready from now on, while it goes on serving. */
  drain(): void;
  /** Calls that are open when the listeners close are cut off at once. */
  skipDrain(): void;
}

interface ListenerOptions {
  readonly settings: Settings;
  readonly policy: ActivePolicy;
  readonly metrics: Metrics;
  readonly log: Log;
  readonly closing: Shutdown;
  /** Decides until there is another one. */
  readonly checkBeforeStore: Check;
  readonly ops: OpsListener;
}

/** What the listeners do once the store has answered. */
export interface ServingDeps extends ApiDeps {
  readonly check: Check;
  /** Hears of every call at an HTTP door once it is answered. */
  readonly onCompletedCall: (call: CompletedCall) => void;
  /** Whether the embedded store is where the next start looks for it. */
  readonly isInPlace?: () => boolean;
}

/** The listeners beside the one for ops. */
interface Opened {
  readonly grpc: GrpcServer;
  readonly http: HttpServer;
  readonly operator: HttpServer;
}

/** What changes while an instance runs: what its listeners do, what the instance says of itself, how long it waits for open calls. */
interface State {
  instance: "starting" | "waiting" | "ready" | "draining";
  graceMs: number;
  check: Check;
  parts: ServingDeps | undefined;
}

/**
 * The listeners beside the one for ops, which is open and tells of them. They are opened when the instance is ready, so that
 * nobody is sent to one that is not; where it waits for the store, at once: then callers are told so.
 */
export function createListeners(options: ListenerOptions): Listeners {
  const { ops, checkBeforeStore: check } = options;
  const state: State = { instance: "starting", graceMs: CLOSE_GRACE_MS, check, parts: undefined };
  let isThere = () => true;
  const readiness = () => ({ instance: instanceState(state, isThere()), ...fleetReadiness(options, state) });
  ops.setReadiness(readiness);
  const isReady = () => Object.values(readiness()).every((part) => part === "ready");
  let publishHealth = () => {};
  let opening: Promise<Opened> | undefined;
  const open = (endpoints?: Endpoints) => {
    opening ??= openAll(options, state, endpoints).then((opened) => {
      isThere = opened.grpc.isReachable;
      publishHealth = () => opened.grpc.setServing(isReady());
      const telling = setInterval(publishHealth, READINESS_EVERY_MS);
      options.closing.defer("the word on readiness", () => clearInterval(telling));
      return opened;
    });
    return opening;
  };
  return {
    async waits() {
      if (state.instance === "starting") state.instance = "waiting";
      await open();
    },
    async serve(parts) {
      const endpoints = apiEndpoints(parts);
      const wereOpen = opening !== undefined;
      Object.assign(state, { parts, check: parts.check });
      const { grpc, http, operator } = await open(endpoints);
      if (wereOpen) {
        await http.serve(http === operator ? endpoints.all : endpoints.open);
        if (http !== operator) await operator.serve(endpoints.all);
      }
      if (state.instance !== "draining") state.instance = "ready";
      publishHealth();
      return { grpc: grpc.address, http: http.address, operator: operator.address, ops: ops.address };
    },
    drain() {
      state.instance = "draining";
      publishHealth();
    },
    skipDrain() {
      state.graceMs = 0;
    },
  };
}

type Endpoints = ReturnType<typeof apiEndpoints>;

/** Envoy's first. Without endpoints the others answer 503. */
async function openAll(options: ListenerOptions, state: State, endpoints?: Endpoints): Promise<Opened> {
  const grpc = await openGrpc(options, state);
  return { grpc, ...(await openHttpListeners(options, state, endpoints)) };
}

async function openHttpListeners(options: ListenerOptions, state: State, endpoints?: Endpoints) {
  const { HTTP_LISTEN, OPERATOR_LISTEN } = options.settings;
  const openHttp = httpOpener(options, state);
  const isOne = OPERATOR_LISTEN === undefined;
  const http = await openHttp("the HTTP door", HTTP_LISTEN, isOne ? endpoints?.all : endpoints?.open);
  const operator = isOne ? http : await openHttp("the operator door", OPERATOR_LISTEN, endpoints?.all);
  return { http, operator };
}

async function openGrpc(options: ListenerOptions, state: State): Promise<GrpcServer> {
  const { settings, closing } = options;
  const check: Check = (message, timeLeftMs) => state.check(message, timeLeftMs);
  const listen = formatListen(settings.GRPC_LISTEN);
  const transport = settings.GRPC_SERVER;
  const faulted = (error: unknown) => options.log.error({ err: error }, FAULTS.connection);
  const maxHeaderBytes = settings.GRPC_MAX_HEADER_BYTES;
  const tls = openTls("GRPC", options);
  const socketChanged = (isThere: boolean) => {
    if (isThere) options.log.info({ listen }, OUTAGES.socket.healed);
    else options.log.warn({ listen }, OUTAGES.socket.failed);
  };
  const common = { listen, methods: [checkMethod(check)], transport, maxHeaderBytes };
  const door = await startGrpcServer({ ...common, ...tls, onFault: faulted, onReachable: socketChanged });
  closing.defer("the gRPC door", () => door.close(state.graceMs));
  return door;
}

function httpOpener(options: ListenerOptions, state: State) {
  const { settings, closing, log } = options;
  const httpTls = openTls("HTTP", options);
  const common = {
    corsOrigins: settings.HTTP_CORS_ORIGINS ?? [],
    onCompletedCall: (call: CompletedCall) => state.parts?.onCompletedCall(call),
    trustedHops: settings.HTTP_TRUSTED_HOPS,
  };
  return async (name: string, listen: Extract<Listen, { kind: "tcp" }>, endpoints?: readonly Endpoint[]) => {
    const faulted = (error: unknown, requestId: string) =>
      log.error({ err: error, requestId }, callFaulted(name));
    const isLast = () => state.instance === "draining";
    const served = endpoints === undefined ? {} : { endpoints };
    const door = await startHttpServer({
      ...common,
      ...served,
      listen,
      onFault: faulted,
      isDraining: isLast,
      ...httpTls,
    });
    closing.defer(name, () => door.close(state.graceMs));
    return door;
  };
}

/** The certificate of a door that has one; a bad one that comes later is said, and the old one stays. */
function openTls(
  door: TlsListener,
  { settings, log, closing, metrics }: ListenerOptions,
): { readonly tls?: ListenerTls } {
  const files = certificateFiles(door, settings);
  if (files === undefined) return {};
  const tls = watchCertificate(files, (problem) => {
    metrics.certificate(door, tls.endsAtMs());
    if (problem === undefined) log.info({ door, file: files.cert }, "a new certificate is shown from now on");
    else log.error({ door, problem }, FAULTS.certificateRefused);
  });
  metrics.certificate(door, tls.endsAtMs());
  closing.defer(`the watch on the ${door} certificate`, tls.close);
  return { tls };
}

/** One whose gRPC listener callers do not find is not ready, though all else is well. */
function instanceState({ instance }: State, isThere: boolean): PartState {
  return instance === "ready" && !isThere ? "not_ready" : instance;
}

/** What an instance can do of its work: a Redis that is gone takes it out of service only where the policy denies. */
function fleetReadiness({ policy }: ListenerOptions, { parts }: State) {
  if (parts === undefined) return UNKNOWN_FLEET;
  const { fleet, isInPlace } = parts;
  const stale = revocationsAreStale(policy.current(), fleet.stalenessMs());
  return {
    revocations: stale ? "not_ready" : "ready",
    secrets: fleet.differsFromFleet() ? "not_ready" : "ready",
    clock: Math.abs(fleet.clockAheadMs()) >= CLOCK_NOT_READY_MS ? "not_ready" : "ready",
    ...storeReadiness(isInPlace),
  } as const;
}

/** With Redis there is no file that could be gone. */
function storeReadiness(isInPlace: ServingDeps["isInPlace"]): { readonly store?: "ready" | "not_ready" } {
  return isInPlace === undefined ? {} : { store: isInPlace() ? "ready" : "not_ready" };
}
