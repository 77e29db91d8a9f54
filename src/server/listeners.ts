import type { Endpoint } from "../api/http/endpoint.ts";
import type { HttpServer, HttpServerOptions } from "../api/http/server.ts";
import { startHttpServer } from "../api/http/server.ts";
import type { Listen } from "../config/parsers.ts";
import { formatListen } from "../config/parsers.ts";
import type { CompletedCall } from "../core/audit/ports.ts";
import { checkMethod } from "../ext-authz/method.ts";
import type { ForwardAuthServer } from "../forward-auth/server.ts";
import type { GrpcServer } from "../grpc/server.ts";
import { startGrpcServer } from "../grpc/server.ts";
import { shouldRateLimitMethod } from "../ratelimit/method.ts";
import { callFailed, FAULTS } from "../telemetry/fault-messages.ts";
import { OUTAGES } from "../telemetry/outage-messages.ts";
import type { ApiDeps, ApiEndpoints } from "./api-endpoints.ts";
import { apiEndpoints } from "./api-endpoints.ts";
import { openForwardAuth } from "./auth-listener.ts";
import type { Checks } from "./check-handler.ts";
import type { GrpcShadow } from "./grpc-shadow/shadow.ts";
import { openTls } from "./listener-tls.ts";
import type { OpsListener } from "./ops-listener.ts";
import type { Stores } from "./ports.ts";
import type { Readiness } from "./readiness.ts";
import type { Runtime } from "./runtime.ts";

/** Open calls at the close end after this time. */
const CLOSE_GRACE_MS = 5000;
/** Readiness may change at any time. gRPC health reports a change within this time. */
const HEALTH_EVERY_MS = 250;

/** Where each listener is, once its port is known. */
export type Addresses = Readonly<Record<"grpc" | "http" | "operator" | "ops", string>> & {
  /** Absent without `AUTH_LISTEN`. */
  readonly auth?: string;
};

export interface Listeners {
  /** Opens the listeners while the start waits for the store. They deny. Rejects if one cannot be opened. */
  openWaiting(): Promise<void>;
  /** From now on the listeners serve. Opens them unless they are open. Rejects if one cannot be opened. */
  serve(services: Services): Promise<Addresses>;
  /** From now on the instance reports NOT_SERVING and not ready, while it still serves. */
  drain(): void;
  /** Open calls end at once when the listeners close. */
  skipDrain(): void;
}

export interface ListenerDeps {
  readonly readiness: Readiness;
  readonly ops: Pick<OpsListener, "address">;
  /** Decide until `serve` is called. */
  readonly checksBeforeStore: Checks;
  readonly grpcShadow: GrpcShadow | undefined;
}

/** What the listeners serve once the store has responded. */
export interface Services extends ApiDeps {
  readonly checks: Checks;
  readonly stores: Stores;
  /** Called after every call of the HTTP API. */
  readonly onCompletedCall: (call: CompletedCall) => void;
}

/** What changes while the listeners are open. */
interface State {
  checks: Checks;
  services: Services | undefined;
  graceMs: number;
}

interface Opening extends ListenerDeps {
  readonly runtime: Runtime;
  readonly state: State;
}

/**
 * The gRPC, HTTP and operator listeners. They open when the instance is ready, so that no caller reaches one that is not. If
 * the start has to wait for the store, they open at once and deny.
 */
export function createListeners(runtime: Runtime, deps: ListenerDeps): Listeners {
  const { readiness, ops } = deps;
  const state: State = { checks: deps.checksBeforeStore, services: undefined, graceMs: CLOSE_GRACE_MS };
  const opening = { ...deps, runtime, state };
  let publishHealth = () => {};
  let opened: Promise<Opened> | undefined;
  const open = (endpoints?: ApiEndpoints) => {
    opened ??= openAll(opening, endpoints).then((all) => {
      readiness.onListening(all.grpc.isReachable);
      publishHealth = () => all.grpc.setServing(readiness.isReady());
      const timer = setInterval(publishHealth, HEALTH_EVERY_MS);
      runtime.shutdown.defer("the updates of gRPC health", () => clearInterval(timer));
      return all;
    });
    return opened;
  };
  return {
    async openWaiting() {
      readiness.onWaiting();
      await open();
    },
    async serve(services) {
      const endpoints = apiEndpoints(runtime, services);
      const wasOpen = opened !== undefined;
      Object.assign(state, { services, checks: services.checks });
      readiness.onStores(services.stores);
      const { grpc, http, operator, auth } = await open(endpoints);
      if (wasOpen) {
        await http.serve(http === operator ? endpoints.all : endpoints.open);
        if (http !== operator) await operator.serve(endpoints.all);
      }
      // Runs before the listeners close, which would wait for the streams.
      runtime.shutdown.defer("the streams of figures", services.figureStreams.close);
      readiness.onServing();
      publishHealth();
      return {
        ...{ grpc: grpc.address, http: http.address, operator: operator.address, ops: ops.address },
        ...(auth !== undefined && { auth: auth.address }),
      };
    },
    drain() {
      readiness.onDrain();
      publishHealth();
    },
    skipDrain() {
      state.graceMs = 0;
    },
  };
}

interface Opened {
  readonly grpc: GrpcServer;
  readonly http: HttpServer;
  readonly operator: HttpServer;
  readonly auth: ForwardAuthServer | undefined;
}

/** Opens Envoy's listener first. Without endpoints the HTTP listeners respond 503. */
async function openAll(opening: Opening, endpoints?: ApiEndpoints): Promise<Opened> {
  const grpc = await openGrpc(opening);
  const { HTTP_LISTEN, OPERATOR_LISTEN } = opening.runtime.settings;
  const openHttp = createHttpOpener(opening);
  const isShared = OPERATOR_LISTEN === undefined;
  const http = await openHttp("the HTTP listener", HTTP_LISTEN, isShared ? endpoints?.all : endpoints?.open);
  const operator = isShared ? http : await openHttp("the operator listener", OPERATOR_LISTEN, endpoints?.all);
  return { grpc, http, operator, auth: await openAuth(opening) };
}

async function openGrpc({ runtime, state, grpcShadow }: Opening): Promise<GrpcServer> {
  const { settings, log, shutdown } = runtime;
  const listen = formatListen(settings.GRPC_LISTEN);
  const methods = [
    checkMethod((message, timeLeftMs) => state.checks.check(message, timeLeftMs)),
    shouldRateLimitMethod((message, timeLeftMs) => state.checks.shouldRateLimit(message, timeLeftMs)),
  ];
  const server = await startGrpcServer({
    listen,
    methods: grpcShadow === undefined ? methods : methods.map(grpcShadow.observe),
    ...(grpcShadow !== undefined && { onOpened: grpcShadow.onOpened }),
    transport: settings.GRPC_SERVER === "grpc-js" ? "grpc-js" : "http2",
    maxHeaderBytes: settings.GRPC_MAX_HEADER_BYTES,
    onFault: (error) => log.error({ err: error }, FAULTS.connection),
    onReachable(isReachable) {
      if (isReachable) log.info({ listen }, OUTAGES.socket.healed);
      else log.warn({ listen }, OUTAGES.socket.failed);
    },
    ...openTls("GRPC", runtime),
  });
  shutdown.defer("the gRPC listener", () => server.close(state.graceMs));
  return server;
}

function openAuth({ runtime, state, readiness }: Opening) {
  return openForwardAuth(runtime, {
    check: (call, timeLeftMs) => state.checks.forwardCheck(call, timeLeftMs),
    isDraining: readiness.isDraining,
    graceMs: () => state.graceMs,
  });
}

function createHttpOpener({ runtime, state, readiness }: Opening) {
  const { settings, shutdown, log } = runtime;
  const common: Omit<HttpServerOptions, "listen" | "onFault"> = {
    corsOrigins: settings.HTTP_CORS_ORIGINS ?? [],
    onCompletedCall: (call) => state.services?.onCompletedCall(call),
    trustedHops: settings.HTTP_TRUSTED_HOPS,
    isDraining: readiness.isDraining,
    ...openTls("HTTP", runtime),
  };
  return async (name: string, listen: Extract<Listen, { kind: "tcp" }>, endpoints?: readonly Endpoint[]) => {
    const server = await startHttpServer({
      ...common,
      ...(endpoints !== undefined && { endpoints }),
      listen,
      onFault: (error, requestId) => log.error({ err: error, requestId }, callFailed(name)),
    });
    shutdown.defer(name, () => server.close(state.graceMs));
    return server;
  };
}
