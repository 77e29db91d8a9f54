import type { ClientAuth, Configuration } from "openid-client";
import {
  allowInsecureRequests,
  ClientSecretBasic,
  ClientSecretPost,
  clockTolerance,
  customFetch,
  discovery,
  enableNonRepudiationChecks,
  None,
} from "openid-client";
import { boundedFetch } from "./bounded-fetch.ts";

/** The timeout of each request to the provider. */
const REQUEST_SECONDS = 5;
const CLOCK_TOLERANCE_SECONDS = 60;
/** Known metadata is loaded again after this time. If that fails, it stays in use. */
const FRESH_MS = 3_600_000;
/** The minimum time between two attempts, so that callers cannot make this instance call the provider more often. */
const COOLDOWN_MS = 5000;

export interface ProviderOptions {
  /** Exactly the `iss` of its ID tokens: https, or http on loopback. */
  readonly issuer: string;
  readonly clientId: string;
  /** Absent: a public client, which PKCE alone protects. */
  readonly clientSecret?: string;
  readonly monotonicMs: () => number;
  /** Called after each attempt to load the metadata, with undefined if it succeeded. */
  readonly onDiscovery: (error: unknown) => void;
}

/** The metadata could not be loaded. `onDiscovery` has been called with the reason. */
export class UndiscoveredProvider extends Error {
  override readonly name = "UndiscoveredProvider";
}

/** The provider's metadata, loaded on first use. Rejects if it was never loaded and cannot be loaded now. */
export function createProviderConfiguration(options: ProviderOptions): () => Promise<Configuration> {
  const { monotonicMs, onDiscovery } = options;
  let known: Configuration | undefined;
  let [loadedMs, triedMs] = [Number.NEGATIVE_INFINITY, Number.NEGATIVE_INFINITY];
  let inFlight: Promise<void> | undefined;
  const load = async () => {
    try {
      known = await discover(options);
      loadedMs = monotonicMs();
      onDiscovery(undefined);
    } catch (error) {
      onDiscovery(error);
    } finally {
      inFlight = undefined;
    }
  };
  return async () => {
    const isStale = monotonicMs() - loadedMs > FRESH_MS;
    if (isStale && inFlight === undefined && monotonicMs() - triedMs >= COOLDOWN_MS) {
      triedMs = monotonicMs();
      inFlight = load();
    }
    if (known === undefined) await inFlight;
    if (known === undefined) throw new UndiscoveredProvider("the metadata was not loaded");
    return known;
  };
}

async function discover({ issuer, clientId, clientSecret }: ProviderOptions): Promise<Configuration> {
  const url = new URL(issuer);
  const found = await discovery(
    url,
    clientId,
    { [clockTolerance]: CLOCK_TOLERANCE_SECONDS },
    clientSecret === undefined ? None() : secretAuthentication(clientSecret),
    {
      timeout: REQUEST_SECONDS,
      [customFetch]: boundedFetch,
      // The settings accept an http issuer on loopback only.
      execute: [enableNonRepudiationChecks, ...(url.protocol === "http:" ? [allowInsecureRequests] : [])],
    },
  );
  // Metadata for any tenant (Entra ID's `common`) would let the people of every tenant sign in.
  if (found.serverMetadata().issuer.replace(/\/$/, "") !== issuer.replace(/\/$/, ""))
    throw new Error("the metadata is of another issuer than OIDC_ISSUER");
  return found;
}

/** `client_secret_basic` is the default of providers (OpenID Connect Discovery §3); some support `client_secret_post` only. */
function secretAuthentication(secret: string): ClientAuth {
  const [basic, post] = [ClientSecretBasic(secret), ClientSecretPost(secret)];
  return (server, ...rest) => {
    const methods = server.token_endpoint_auth_methods_supported ?? ["client_secret_basic"];
    return (methods.includes("client_secret_basic") ? basic : post)(server, ...rest);
  };
}
