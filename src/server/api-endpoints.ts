import { auditRoute } from "../api/admin/audit-route.ts";
import type { BudgetSurveys } from "../api/admin/budget-routes.ts";
import { budgetRoutes } from "../api/admin/budget-routes.ts";
import { explainRoute } from "../api/admin/explain-route.ts";
import { figuresRoute } from "../api/admin/figures-route.ts";
import { freezeRoutes } from "../api/admin/freeze-routes.ts";
import { operatorRoutes } from "../api/admin/key-routes.ts";
import { limitRoutes } from "../api/admin/limit-routes.ts";
import { overrideRoutes } from "../api/admin/override-routes.ts";
import type { PolicyTrial } from "../api/admin/policy-check-route.ts";
import { policyCheckRoute } from "../api/admin/policy-check-route.ts";
import { policyRoutes } from "../api/admin/policy-routes.ts";
import { settingsRoute } from "../api/admin/settings-route.ts";
import type { SigningKeysBody } from "../api/admin/signing-keys-route.ts";
import { signingKeysRoute } from "../api/admin/signing-keys-route.ts";
import type { StatusBody } from "../api/admin/status-route.ts";
import { statusRoute } from "../api/admin/status-route.ts";
import { usageReportRoute } from "../api/admin/usage-route.ts";
import type { VerificationPort } from "../api/admin/verification-routes.ts";
import { verificationRoutes } from "../api/admin/verification-routes.ts";
import { createAssets } from "../api/console/assets.ts";
import { createLinks } from "../api/console/links.ts";
import { bundledPageRoutes } from "../api/console/page-routes.ts";
import type { Seal } from "../api/console/seal.ts";
import { createSeal } from "../api/console/seal.ts";
import type { ConsolePorts } from "../api/console/session-access.ts";
import { sessionRoutes } from "../api/console/session-routes.ts";
import { createSessions } from "../api/console/sessions.ts";
import { browserRoutes } from "../api/docs/browser-routes.ts";
import { pageRoutes } from "../api/docs/page-routes.ts";
import type { ApiPorts } from "../api/http/calls.ts";
import type { Endpoint } from "../api/http/endpoint.ts";
import type { EventStreams } from "../api/http/event-streams.ts";
import { introspectRoute } from "../api/keys/introspect-route.ts";
import { jwksRoute } from "../api/keys/jwks-route.ts";
import { keyRoutes } from "../api/keys/key-routes.ts";
import type { UsagePorts } from "../api/keys/usage-body.ts";
import { usageRoutes } from "../api/keys/usage-routes.ts";
import { legacyRoutes } from "../api/legacy/legacy-routes.ts";
import { migrationRoutes } from "../api/legacy/migration-routes.ts";
import type { DescribedSetting } from "../config/described-settings.ts";
import type { Secrets } from "../config/secrets.ts";
import type { Settings } from "../config/settings.ts";
import type { Explain } from "../core/decision/explain.ts";
import type { KeyVerifier } from "../core/decision/ports.ts";
import type { Registry } from "../core/keys/registry.ts";
import type { SigningKeys } from "../jwt/signing-keys.ts";
import { createBucketStore } from "../memory/bucket-store.ts";
import type { ActivePolicy } from "../policy/active-policy.ts";
import type { Stores } from "./ports.ts";
import type { Runtime } from "./runtime.ts";
import type { Routes, SignIn } from "./sign-in.ts";
import { consoleSignIn, holderPage, openSignIn, providerSignOut } from "./sign-in.ts";
import type { Metering } from "./usage.ts";
import { usageRetentionOf } from "./usage.ts";

/** Addresses whose unauthenticated calls are counted. The least recently used one is evicted first. */
const MAX_GUARDED_ADDRESSES = 100_000;

/** What the calls of the HTTP API work with. */
export interface ApiDeps {
  readonly version: string;
  readonly policy: ActivePolicy;
  readonly registry: Registry;
  readonly verifier: KeyVerifier;
  /** Those that hash V1 keys also seal the sessions of the console. */
  readonly secrets: Pick<Secrets, "adminTokens" | "keyHashSecrets">;
  readonly explain: Explain;
  readonly readStatus: () => Promise<StatusBody>;
  readonly readSigningKeys: () => SigningKeysBody;
  readonly describedSettings: readonly DescribedSetting[];
  readonly policyTrial: PolicyTrial;
  readonly figureStreams: EventStreams;
  readonly stores: Pick<Stores, "fleet" | "audit" | "bucketAdmin" | "quotaAdmin" | "usage">;
  readonly metering: Pick<Metering, "state">;
  readonly signingKeys: SigningKeys;
  readonly surveys: BudgetSurveys;
  readonly verification: VerificationPort;
}

/** The endpoints of each kind of listener. `open` lacks the operators' calls, for an HTTP listener beside an operator listener. */
export type ApiEndpoints = Readonly<Record<"open" | "all", readonly Endpoint[]>>;

export function apiEndpoints(
  runtime: Pick<Runtime, "settings" | "metrics" | "log">,
  deps: ApiDeps,
): ApiEndpoints {
  const { settings } = runtime;
  const ports = apiPorts(runtime, deps);
  const seal = createSeal(deps.secrets.keyHashSecrets);
  const signIn = openSignIn(runtime);
  const usage = usagePorts(runtime, deps);
  const ofHolders = holderPage(ports, settings, { signIn, seal, usage, limits: deps.stores });
  const forConsole =
    settings.CONSOLE === "on" ? consolePorts(ports, settings, { seal, signIn, deps }) : undefined;
  const ofConsole = forConsole && consoleRoutes(forConsole, settings, { signIn, seal });
  const open = [...openRoutes(ports, runtime, deps), ...ofHolders.described];
  const all = [
    ...operatorListenerRoutes(forConsole ?? ports, runtime, deps),
    ...(ofConsole?.described ?? []),
    // One listener serves both if the settings name no operator listener.
    ...(settings.OPERATOR_LISTEN === undefined ? ofHolders.described : []),
  ];
  const pages = [
    ...(ofConsole?.pages ?? []),
    ...(settings.OPERATOR_LISTEN === undefined ? ofHolders.pages : []),
  ];
  return {
    open: [...open, ...ofHolders.pages, ...browserRoutes(), ...pageRoutes(open, deps.version)],
    all: [...all, ...pages, ...browserRoutes(), ...pageRoutes(all, deps.version)],
  };
}

interface SealDeps {
  readonly seal: Seal;
  readonly signIn: SignIn | undefined;
}

function consolePorts(
  ports: ApiPorts,
  { OIDC_CONSOLE_REDIRECT_URL: redirectUrl }: Pick<Settings, "OIDC_CONSOLE_REDIRECT_URL">,
  { seal, signIn, deps }: SealDeps & { readonly deps: Pick<ApiDeps, "registry"> },
): ConsolePorts {
  const { nowMs } = ports;
  return {
    ...ports,
    sessions: createSessions({ seal, view: deps.registry.view, nowMs }),
    links: createLinks({ seal, nowMs }),
    ...(signIn !== undefined && { signInIssuer: signIn.issuer }),
    ...providerSignOut(signIn, redirectUrl),
  };
}

function consoleRoutes(
  ports: ConsolePorts,
  settings: Pick<Settings, "ENVIRONMENT" | "OIDC_CONSOLE_REDIRECT_URL">,
  deps: SealDeps,
): Routes {
  const assets = createAssets({ development: settings.ENVIRONMENT === "development" });
  const signIn = consoleSignIn(ports, settings, deps);
  const page = {
    path: "/console",
    entry: "main",
    title: "Latchkey console",
    signsIn: signIn.pages.length > 0,
  };
  return {
    described: [...sessionRoutes(ports), ...signIn.described],
    pages: [...bundledPageRoutes(page, assets), ...signIn.pages],
  };
}

/** The calls of keys, which each listener serves. */
function openRoutes(ports: ApiPorts, runtime: Pick<Runtime, "settings">, deps: ApiDeps): readonly Endpoint[] {
  const { settings } = runtime;
  const names = { issuer: settings.JWT_ISSUER, audience: settings.JWT_AUDIENCE };
  return [
    ...keyRoutes(ports),
    ...usageRoutes(ports, usagePorts(runtime, deps), deps.stores),
    ...legacyRoutes(ports),
    introspectRoute(ports, names),
    jwksRoute(() => deps.signingKeys.ring().publicJwks),
  ];
}

function operatorListenerRoutes(
  ports: ApiPorts,
  runtime: Pick<Runtime, "settings">,
  deps: ApiDeps,
): readonly Endpoint[] {
  const usage = usagePorts(runtime, deps);
  return [
    ...openRoutes(ports, runtime, deps),
    ...operatorRoutes(ports),
    ...limitRoutes(ports, deps.stores),
    ...overrideRoutes(ports),
    ...policyRoutes(ports, deps.policy),
    policyCheckRoute(ports, deps.policy.current, deps.policyTrial),
    ...migrationRoutes(ports),
    ...freezeRoutes(ports),
    usageReportRoute(ports, usage),
    ...budgetRoutes(ports, deps.surveys, usage),
    auditRoute(ports, deps.stores.audit),
    ...verificationRoutes(ports, deps.verification),
    statusRoute(ports, deps.readStatus),
    settingsRoute(ports, deps.describedSettings),
    signingKeysRoute(ports, deps.readSigningKeys),
    figuresRoute(ports, deps.figureStreams),
    explainRoute(ports, deps.explain),
  ];
}

function usagePorts(
  { settings }: Pick<Runtime, "settings">,
  { stores, registry, metering }: ApiDeps,
): UsagePorts {
  return {
    store: stores.usage,
    retention: usageRetentionOf(settings),
    storeNowMs: registry.storeClock.storeNowMs,
    metering: metering.state,
  };
}

function apiPorts(
  { settings, metrics }: Pick<Runtime, "settings" | "metrics">,
  { policy, registry, verifier, secrets, stores }: ApiDeps,
): ApiPorts {
  return {
    stalenessMs: stores.fleet.stalenessMs,
    policy: policy.current,
    verifier,
    view: registry.view,
    migration: registry.migration,
    nowMs: registry.nowMs,
    adminTokens: secrets.adminTokens,
    trustedHops: settings.HTTP_TRUSTED_HOPS,
    registry,
    guard: createBucketStore({ maxBuckets: MAX_GUARDED_ADDRESSES }),
    counters: metrics.keys,
  };
}
