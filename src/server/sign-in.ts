import { createAssets } from "../api/console/assets.ts";
import { bundledPageRoutes } from "../api/console/page-routes.ts";
import type { Seal } from "../api/console/seal.ts";
import type { ConsolePorts } from "../api/console/session-access.ts";
import type { SignOutPorts } from "../api/console/session-replies.ts";
import { personSessionRoute } from "../api/console/session-routes.ts";
import { createSessions, HOLDER_SURFACE } from "../api/console/sessions.ts";
import type { ApiPorts } from "../api/http/calls.ts";
import type { Endpoint } from "../api/http/endpoint.ts";
import type { UsagePorts } from "../api/keys/usage-body.ts";
import type { LimitLevels } from "../api/keys/usage-routes.ts";
import { ownerRoutes } from "../api/owner/owner-routes.ts";
import { ownerSessionRoutes } from "../api/owner/owner-session-routes.ts";
import type { SignInSurface } from "../api/sign-in/sign-in-routes.ts";
import { oidcRoutes } from "../api/sign-in/sign-in-routes.ts";
import { createSignInCookie } from "../api/sign-in/signed-in-cookie.ts";
import type { Settings } from "../config/settings.ts";
import type { IdentityProvider } from "../core/sign-in/ports.ts";
import { createIdentityProvider } from "../oidc/identity-provider.ts";
import { createOutageLog } from "../telemetry/outage-log.ts";
import { OUTAGES } from "../telemetry/outage-messages.ts";
import type { Runtime } from "./runtime.ts";

/** The OpenID Connect provider of the settings. */
export interface SignIn {
  readonly provider: IdentityProvider;
  readonly issuer: string;
}

/** Undefined if the settings name no provider. The provider is first called at the first sign-in. */
export function openSignIn({ settings, log }: Pick<Runtime, "settings" | "log">): SignIn | undefined {
  const { OIDC_ISSUER: issuer, OIDC_CLIENT_ID: clientId, OIDC_CLIENT_SECRET: clientSecret } = settings;
  if (issuer === undefined || clientId === undefined) return undefined;
  const outage = createOutageLog(log, OUTAGES.signIn);
  const provider = createIdentityProvider({
    ...{ issuer, clientId, scope: settings.OIDC_SCOPE },
    ...(clientSecret !== undefined && { clientSecret }),
    monotonicMs: () => performance.now(),
    onResult(error) {
      if (error === undefined) outage.works();
      else outage.failed({ err: error });
    },
  });
  return { provider, issuer };
}

/** Where people sign out of the provider too, if they sign in by it. It returns them to the page at which they signed in. */
export function providerSignOut(
  signIn: SignIn | undefined,
  redirectUrl: string | undefined,
): Pick<SignOutPorts, "providerSignOut"> {
  if (signIn === undefined || redirectUrl === undefined) return {};
  const returnUrl = new URL("..", redirectUrl).href.replace(/\/$/, "");
  return { providerSignOut: () => signIn.provider.signOutUrl(returnUrl) };
}

/** Calls that the OpenAPI document describes, and pages that it does not. */
export interface Routes {
  readonly described: readonly Endpoint[];
  readonly pages: readonly Endpoint[];
}

const NONE: Routes = { described: [], pages: [] };

/** The sign-in to the console by OpenID Connect. */
export function consoleSignIn(
  ports: ConsolePorts,
  { OIDC_CONSOLE_REDIRECT_URL: redirectUrl }: Pick<Settings, "OIDC_CONSOLE_REDIRECT_URL">,
  { signIn, seal }: { readonly signIn: SignIn | undefined; readonly seal: Seal },
): Routes {
  if (signIn === undefined || redirectUrl === undefined) return NONE;
  const cookie = createSignInCookie("console", redirectUrl, { seal, nowMs: ports.nowMs });
  const surface = { name: "console", path: "/console", redirectUrl, cookie } as const;
  return { described: [personSessionRoute(ports, cookie)], pages: startRoutes(ports, signIn, surface) };
}

function startRoutes(ports: ApiPorts, { provider, issuer }: SignIn, surface: SignInSurface) {
  return oidcRoutes({ ...ports, provider, signInIssuer: issuer }, surface);
}

interface HolderPageDeps {
  readonly signIn: SignIn | undefined;
  readonly seal: Seal;
  readonly usage: UsagePorts;
  readonly limits: LimitLevels;
}

/** The page for holders of keys at `/keys`, and its calls for holders that have signed in. */
export function holderPage(
  ports: ApiPorts,
  settings: Pick<Settings, "HOLDER_PAGE" | "OIDC_KEYS_REDIRECT_URL" | "ENVIRONMENT">,
  { signIn, seal, usage, limits }: HolderPageDeps,
): Routes {
  const { HOLDER_PAGE, OIDC_KEYS_REDIRECT_URL: redirectUrl, ENVIRONMENT } = settings;
  if (HOLDER_PAGE === "off") return NONE;
  const signsIn = signIn !== undefined && redirectUrl !== undefined;
  const assets = createAssets({ development: ENVIRONMENT === "development" });
  const page = { path: "/keys", entry: "holder", title: "API keys", signsIn };
  const pages = bundledPageRoutes(page, assets);
  if (!signsIn) return { described: [], pages };
  const { nowMs, registry } = ports;
  const cookie = createSignInCookie("keys", redirectUrl, { seal, nowMs });
  const sessions = createSessions({ surface: HOLDER_SURFACE, seal, view: registry.view, nowMs });
  const ownerPorts = {
    ...ports,
    holderSessions: sessions,
    signInIssuer: signIn.issuer,
    ...providerSignOut(signIn, redirectUrl),
  };
  const surface = { name: "keys", path: "/keys", redirectUrl, cookie } as const;
  return {
    described: [...ownerSessionRoutes(ownerPorts, cookie), ...ownerRoutes(ownerPorts, usage, limits)],
    pages: [...pages, ...startRoutes(ports, signIn, surface)],
  };
}
