import type { DescribedSetting } from "../config/described-settings.ts";
import { readSecrets } from "../config/secrets.ts";
import { createInstanceView } from "../core/revocation/instance-view.ts";
import type { SigningKeys } from "../jwt/signing-keys.ts";
import type { ActivePolicy } from "../policy/active-policy.ts";
import { unsetSecretLogger } from "../telemetry/fault-messages.ts";
import type { Metrics } from "../telemetry/metrics/metrics.ts";
import type { Output } from "../telemetry/output.ts";
import type { Tracing } from "../telemetry/tracing.ts";
import type { Audit } from "./audit.ts";
import { openAudit } from "./audit.ts";
import { startBackgroundWork } from "./background.ts";
import { createCharges } from "./charges.ts";
import { createAuthorizePorts, createChecks } from "./check-handler.ts";
import { compareWithFleet } from "./fleet-settings.ts";
import type { GrpcShadow } from "./grpc-shadow/shadow.ts";
import { startGrpcShadow } from "./grpc-shadow/shadow.ts";
import { followKeyAges } from "./key-ages.ts";
import { createLegacyServices, loadPhase } from "./legacy.ts";
import type { Addresses, Listeners } from "./listeners.ts";
import { createListeners } from "./listeners.ts";
import { createOperatorViews } from "./operator-views.ts";
import type { OpsListener } from "./ops-listener.ts";
import { openOpsListener } from "./ops-listener.ts";
import { watchOverrides } from "./overrides.ts";
import { watchPolicy } from "./policy-reload.ts";
import type { Readiness } from "./readiness.ts";
import { createReadiness } from "./readiness.ts";
import { createFleetVerifier, createRegistry } from "./registry.ts";
import type { Runtime, RuntimeOptions } from "./runtime.ts";
import { createRuntime } from "./runtime.ts";
import { openSigning } from "./signing.ts";
import type { RetryUntilAvailable } from "./start-wait.ts";
import { createStartWait } from "./start-wait.ts";
import { createChecksBeforeStore } from "./startup-check.ts";
import { createStoreEvents, openStoresWithRetry } from "./stores.ts";
import { openSurveys } from "./surveys.ts";
import { openTraces } from "./tracing.ts";
import { startMetering } from "./usage.ts";

export interface AppOptions extends RuntimeOptions {
  readonly policy: ActivePolicy;
  /** Undefined if the settings name none. Then a secret is generated and stored. */
  readonly signingKeys: SigningKeys | undefined;
  /** What an operator may see of the settings. */
  readonly describedSettings: readonly DescribedSetting[];
  readonly acceptEmptyRegistry?: boolean;
  /** Takes the lines of the log and of the audit log. */
  readonly output: Output;
  /** Set in a worker process: its number, from 1, and what replaces its ops listener. */
  readonly worker?: {
    readonly index: number;
    readonly openOps: (metrics: Pick<Metrics, "read">) => OpsListener;
  };
}

/** An instance that is ready, or starting. */
export interface StartedApp extends Pick<Listeners, "drain" | "skipDrain"> {
  /** Resolves with the addresses once the instance is ready. Rejects with an error that does not pass by itself. */
  readonly ready: Promise<Addresses>;
}

/** The composition root: what is open before the store has responded. */
export async function startApp(options: AppOptions): Promise<StartedApp> {
  const { policy, shutdown, log } = options;
  const runtime = createRuntime(options);
  const ops = options.worker?.openOps(runtime.metrics) ?? (await openOpsListener(runtime));
  const tracing = await openTraces(runtime, options.version);
  watchPolicy(runtime, policy);
  const readiness = createReadiness(policy.current);
  ops.setReadiness(readiness);
  // Closes run in reverse order: the listeners close before the services that their open calls need.
  const serviceRuntime = { ...runtime, shutdown: shutdown.group() };
  const grpcShadow = startGrpcShadow(runtime);
  const beforeStore = { policy: policy.current, tracing, grpcShadow };
  const listeners = createListeners(
    { ...runtime, shutdown: shutdown.group() },
    { readiness, ops, checksBeforeStore: createChecksBeforeStore(runtime, beforeStore), grpcShadow },
  );
  const { retry, stop } = createStartWait({ log, onUnavailable: listeners.openWaiting });
  const ready = openServices(serviceRuntime, {
    ...options,
    tracing,
    grpcShadow,
    listeners,
    readiness,
    retry,
  });
  shutdown.defer("the start", () => stop(ready));
  return { ready, drain: listeners.drain, skipDrain: listeners.skipDrain };
}

interface ServiceDeps extends Omit<AppOptions, keyof Runtime> {
  readonly tracing: Tracing | undefined;
  readonly grpcShadow: GrpcShadow | undefined;
  readonly listeners: Listeners;
  readonly readiness: Readiness;
  readonly retry: RetryUntilAvailable;
}

/** The composition root: what needs the store. Each step may use the ones above it. */
async function openServices(runtime: Runtime, deps: ServiceDeps): Promise<Addresses> {
  const { settings, log, metrics } = runtime;
  const { policy, tracing, retry } = deps;
  const [view, events] = [createInstanceView(), createStoreEvents()];
  const stores = await openStoresWithRetry(
    { ...deps, ...runtime, policy: policy.current, view, events },
    retry,
  );
  metrics.observe(stores.fleet);
  const secrets = await retry(() => readSecrets(settings, stores.secrets, unsetSecretLogger(log)));
  const signing = await openSigning(runtime, { signingKeys: deps.signingKeys, secrets: stores.secrets });
  const legacy = createLegacyServices(runtime, { ...secrets, keys: stores.keys, events });
  metrics.observe({ phase: () => legacy.migration.state().phase });
  // Comes before the first change of the store: an instance of another fleet must not change it.
  await compareWithFleet(runtime, { ...deps, stores, secrets, signing, legacy });
  const keysAddedMs = followKeyAges(runtime, { signingKeys: signing.keys, stores });
  await loadPhase(legacy, { policy, stores, retry });
  const registry = createRegistry(runtime, { stores, view, signing, legacy, policy });
  const verifier = createFleetVerifier(signing, legacy);
  const ports = createAuthorizePorts(runtime, { registry, verifier, stores, policy });
  const ofAudit = { key: secrets.auditKey, store: stores.audit, events };
  const audit = await openAudit(runtime, { ...deps, ...ports, ...ofAudit });
  watchOverrides(runtime, { view, policy });
  const background = startBackgroundWork(runtime, { store: stores.keys, view });
  const metering = startMetering(runtime, { stores, events });
  const charges = createCharges(runtime, { ports, stores, ...secrets, metering, audit });
  const services = { policy, registry, verifier, secrets, stores, metering, signingKeys: signing.keys };
  const addresses = await deps.listeners.serve({
    ...{ ...services, version: deps.version },
    checks: createChecks(runtime, { ports, stores, charges, background, metering, audit, ...deps }),
    ...createOperatorViews(runtime, { ...deps, ...services, ports, keysAddedMs }),
    verification: audit.verification,
    surveys: openSurveys(runtime, { registry, stores }),
    onCompletedCall: callObserver(tracing, audit),
  });
  stores.onStarted();
  return addresses;
}

function callObserver(tracing: Tracing | undefined, audit: Audit): Audit["onCompletedCall"] {
  return (call) => {
    tracing?.call(call);
    audit.onCompletedCall(call);
  };
}
