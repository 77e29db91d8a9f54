import type { AnsweredCall } from "./api/answered-call.ts";
import type { Endpoint } from "./api/endpoint.ts";
import { startHttpServer } from "./api/server.ts";
import type { ApiParts } from "./api-endpoints.ts";
import { apiEndpoints } from "./api-endpoints.ts";
import { watchCertificate } from "./certificates.ts";
import type { Closing } from "./closing.ts";
import type { TlsDoor } from "./config.ts";
import { certificateFiles } from "./config.ts";
import { revocationsAreStale } from "./core/authorize.ts";
import type { DoorTls } from "./core/ports.ts";
import type { Check } from "./envoy/check.ts";
import type { EnvoyServer } from "./envoy/server.ts";
import { startEnvoyServer } from "./envoy/server.ts";
import { callFaulted, FAULTS } from "./fault-words.ts";
import type { OpsDoor } from "./ops-door.ts";
import type { Listen } from "./setting-forms.ts";
import { formatListen } from "./setting-forms.ts";
import type { Log } from "./telemetry/log.ts";

/** Calls still open when everything else has ended are cut off after this. */
const CLOSE_GRACE_MS = 5000;
/** Readiness may change without a word from anybody: Envoy hears of it within this. */
const READINESS_EVERY_MS = 250;

export interface RunningDoors {
  /** Where each door listens, once its port is known. */
  readonly addresses: Readonly<Record<"grpc" | "http" | "operator" | "ops", string>>;
  /** Says NOT_SERVING and not ready from now on, while it goes on serving. */
  drain(): void;
  /** Calls that are open when the doors close are cut off at once. */
  hurry(): void;
}

interface DoorOptions extends ApiParts {
  readonly log: Log;
  readonly closing: Closing;
  readonly check: Check;
  /** Hears of every call at an HTTP door once it is answered. */
  readonly answered: (call: AnsweredCall) => void;
  readonly ops: OpsDoor;
  /** Whether the embedded store is where the next start looks for it. */
  readonly isInPlace?: () => boolean;
}

/** What changes when an instance goes: what it says of itself, and how long it waits for calls that are open. */
interface Going {
  state: "ready" | "draining";
  graceMs: number;
}

/** Opens every other door, the one for Envoy first; the ops door, which is open, tells of it. */
export async function openDoors(options: DoorOptions): Promise<RunningDoors> {
  const { settings, ops } = options;
  const going: Going = { state: "ready", graceMs: CLOSE_GRACE_MS };
  const grpc = await openGrpc(options, going);
  const openHttp = httpOpener(options, going);
  const { open, all } = apiEndpoints(options);
  const http = await openHttp(
    "the HTTP door",
    settings.HTTP_LISTEN,
    settings.OPERATOR_LISTEN === undefined ? all : open,
  );
  const operator =
    settings.OPERATOR_LISTEN === undefined
      ? http
      : await openHttp("the operator door", settings.OPERATOR_LISTEN, all);
  const readiness = () => ({ instance: going.state, ...fleetReadiness(options) });
  ops.tell(readiness);
  const tellEnvoy = () => grpc.setServing(Object.values(readiness()).every((part) => part === "ready"));
  tellEnvoy();
  const telling = setInterval(tellEnvoy, READINESS_EVERY_MS);
  options.closing.later("the word on readiness", () => clearInterval(telling));
  return {
    addresses: { grpc: grpc.address, http: http.address, operator: operator.address, ops: ops.address },
    drain() {
      going.state = "draining";
      tellEnvoy();
    },
    hurry() {
      going.graceMs = 0;
    },
  };
}

async function openGrpc(options: DoorOptions, going: Going): Promise<EnvoyServer> {
  const { settings, check, closing } = options;
  const listen = formatListen(settings.GRPC_LISTEN);
  const transport = settings.GRPC_SERVER;
  const faulted = (error: unknown) => options.log.error({ err: error }, FAULTS.connection);
  const maxHeaderBytes = settings.GRPC_MAX_HEADER_BYTES;
  const tls = openTls("GRPC", options);
  const door = await startEnvoyServer({ listen, check, transport, maxHeaderBytes, faulted, ...tls });
  closing.later("the gRPC door", () => door.close(going.graceMs));
  return door;
}

function httpOpener(options: DoorOptions, going: Going) {
  const { settings, closing, log } = options;
  const httpTls = openTls("HTTP", options);
  const common = {
    corsOrigins: settings.HTTP_CORS_ORIGINS ?? [],
    answered: options.answered,
    trustedHops: settings.HTTP_TRUSTED_HOPS,
  };
  return async (name: string, listen: Extract<Listen, { kind: "tcp" }>, endpoints: readonly Endpoint[]) => {
    const faulted = (error: unknown, requestId: string) =>
      log.error({ err: error, requestId }, callFaulted(name));
    const isLast = () => going.state === "draining";
    const door = await startHttpServer({ ...common, listen, endpoints, faulted, isLast, ...httpTls });
    closing.later(name, () => door.close(going.graceMs));
    return door;
  };
}

/** The certificate of a door that has one; a bad one that comes later is said, and the old one stays. */
function openTls(
  door: TlsDoor,
  { settings, log, closing, metrics }: DoorOptions,
): { readonly tls?: DoorTls } {
  const files = certificateFiles(door, settings);
  if (files === undefined) return {};
  const tls = watchCertificate(files, (problem) => {
    metrics.certificate(door, tls.endsAtMs());
    if (problem === undefined) log.info({ door, file: files.cert }, "a new certificate is shown from now on");
    else log.error({ door, problem }, FAULTS.certificateRefused);
  });
  metrics.certificate(door, tls.endsAtMs());
  closing.later(`the watch on the ${door} certificate`, tls.close);
  return { tls };
}

/** What an instance can do of its work: a Redis that is gone takes it out of service only where the policy denies. */
function fleetReadiness({ fleet, policy, isInPlace }: DoorOptions) {
  const stale = revocationsAreStale(policy.current(), fleet.stalenessMs());
  return {
    revocations: stale ? "not_ready" : "ready",
    secrets: fleet.isStrange() ? "not_ready" : "ready",
    ...storeReadiness(isInPlace),
  } as const;
}

/** With Redis there is no file that could be gone. */
function storeReadiness(isInPlace: DoorOptions["isInPlace"]): { readonly store?: "ready" | "not_ready" } {
  return isInPlace === undefined ? {} : { store: isInPlace() ? "ready" : "not_ready" };
}
