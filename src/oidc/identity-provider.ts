import type { Configuration } from "openid-client";
import {
  AuthorizationResponseError,
  authorizationCodeGrant,
  buildAuthorizationUrl,
  buildEndSessionUrl,
  ClientError,
  calculatePKCECodeChallenge,
  fetchUserInfo,
  ResponseBodyError,
  randomNonce,
  randomPKCECodeVerifier,
  randomState,
  WWWAuthenticateChallengeError,
} from "openid-client";
import { errorMessage } from "../core/error-message.ts";
import type { IdentityProvider, PendingSignIn, SignInFailure } from "../core/sign-in/ports.ts";
import { withTimeout } from "../core/timeout.ts";
import type { ProviderOptions } from "./provider-configuration.ts";
import { createProviderConfiguration, UndiscoveredProvider } from "./provider-configuration.ts";

/** The longest time that a person waits for the provider. */
const WAIT_MS = 15_000;
/** Callbacks that this instance verifies at the same time. More than that are not people. */
const MAX_OPEN = 32;

export interface IdentityProviderOptions extends Omit<ProviderOptions, "onDiscovery"> {
  /** The requested scopes, separated by spaces, with `openid`. */
  readonly scope: string;
  /** Called with undefined when the provider works, and otherwise with an error that quotes nothing of its response. */
  readonly onResult: (error: Error | undefined) => void;
}

/** Signs people in by OpenID Connect: authorization code, PKCE, `state` and `nonce`. The provider is first called at the first sign-in. */
export function createIdentityProvider(options: IdentityProviderOptions): IdentityProvider {
  const { scope, onResult } = options;
  const configuration = createProviderConfiguration({
    ...options,
    onDiscovery: (error) => onResult(error === undefined ? undefined : describe(error)),
  });
  let open = 0;
  const attempt = async <Done>(work: () => Promise<Done>) => {
    if (open >= MAX_OPEN) return UNAVAILABLE;
    open++;
    const running = work()
      .catch((error: unknown) => failed(error, onResult))
      .finally(() => open--);
    return withTimeout(running, WAIT_MS, () => UNAVAILABLE);
  };
  return {
    begin: (redirectUrl) =>
      attempt(async () => {
        const [state, nonce, verifier] = [randomState(), randomNonce(), randomPKCECodeVerifier()];
        const url = buildAuthorizationUrl(await configuration(), {
          ...{ redirect_uri: redirectUrl, scope, state, nonce },
          code_challenge: await calculatePKCECodeChallenge(verifier),
          code_challenge_method: "S256",
        });
        return { ok: true, url: url.href, pending: { state, nonce, verifier } };
      }),
    complete: (callback, pending, suffices) =>
      attempt(async () => ({
        ok: true,
        claims: await verifiedClaims(await configuration(), callback, pending, suffices),
      })),
    async signOutUrl(returnUrl) {
      const found = await attempt(async () => ({
        ok: true,
        url: signOutUrlOf(await configuration(), returnUrl),
      }));
      return found.ok ? found.url : undefined;
    },
  };
}

/**
 * No `id_token_hint`: an ID token can be longer than a cookie, and would be in the browser's history. Without one the provider asks
 * the person first (§2), which also keeps other sites from signing the person out there.
 */
function signOutUrlOf(configuration: Configuration, returnUrl: string): string | undefined {
  const { issuer, end_session_endpoint: endpoint } = configuration.serverMetadata();
  if (endpoint === undefined || !URL.canParse(endpoint)) return undefined;
  const isSafe =
    new URL(endpoint).protocol === "https:" || new URL(endpoint).protocol === new URL(issuer).protocol;
  return isSafe ? buildEndSessionUrl(configuration, { post_logout_redirect_uri: returnUrl }).href : undefined;
}

const UNAVAILABLE = { ok: false, failure: "provider_unavailable" } as const;

async function verifiedClaims(
  configuration: Configuration,
  callback: URL,
  { state, nonce, verifier }: PendingSignIn,
  suffices: (claims: unknown) => boolean,
): Promise<unknown> {
  const tokens = await authorizationCodeGrant(configuration, callback, {
    pkceCodeVerifier: verifier,
    expectedState: state,
    expectedNonce: nonce,
    idTokenExpected: true,
  });
  const claims = tokens.claims();
  if (claims === undefined) throw new Error("the token response has no ID token");
  if (suffices(claims) || configuration.serverMetadata().userinfo_endpoint === undefined) return claims;
  // The subject of both must be the same (OpenID Connect Core §5.3.2), and the signed claims win.
  return { ...(await fetchUserInfo(configuration, tokens.access_token, claims.sub)), ...claims };
}

function failed(
  error: unknown,
  onResult: IdentityProviderOptions["onResult"],
): { readonly ok: false; readonly failure: SignInFailure } {
  const failure = failureOf(error);
  // Anybody can send a wrong callback. Only what the provider itself did says that it does not work.
  if (failure === "provider_unavailable" && !(error instanceof UndiscoveredProvider))
    onResult(describe(error));
  return { ok: false, failure };
}

/** Codes of openid-client for a callback or an ID token that does not belong to this sign-in. */
const NOT_OURS: ReadonlySet<string | undefined> = new Set([
  "OAUTH_INVALID_RESPONSE",
  "OAUTH_JWT_CLAIM_COMPARISON_FAILED",
  "OAUTH_JWT_TIMESTAMP_CHECK_FAILED",
  "OAUTH_KEY_SELECTION_FAILED",
]);

function failureOf(error: unknown): SignInFailure {
  if (error instanceof AuthorizationResponseError) return "sign_in_denied";
  if (error instanceof ResponseBodyError)
    return error.error === "invalid_grant" ? "sign_in_failed" : "provider_unavailable";
  return error instanceof ClientError && NOT_OURS.has(error.code) ? "sign_in_failed" : "provider_unavailable";
}

/** The libraries' errors carry responses and tokens as their cause. The log gets the message alone. */
function describe(error: unknown): Error {
  if (error instanceof ResponseBodyError)
    return new Error(`the provider responds ${error.status} with "${error.error.slice(0, 64)}"`);
  if (error instanceof WWWAuthenticateChallengeError)
    return new Error(
      `the provider responds ${error.status}: it does not accept OIDC_CLIENT_ID with its secret`,
    );
  if (error instanceof ClientError && error.code !== undefined)
    return new Error(`${error.message} (${error.code})`);
  return new Error(errorMessage(rootOf(error)));
}

/** A failed fetch says why in its cause. */
function rootOf(error: unknown): unknown {
  return error instanceof Error && error.cause instanceof Error ? rootOf(error.cause) : error;
}
