import type { TestedConsole } from "./console.ts";
import { startConsole } from "./console.ts";
import { freeAddress } from "./latchkey.ts";
import type { TestedProvider } from "./oidc.ts";
import { CLIENT, startProvider } from "./oidc.ts";

/** An instance with both pages, a browser, and the provider with which people sign in. */
export interface OidcConsole extends TestedConsole {
  readonly provider: TestedProvider;
}

/** Starts a provider and an instance that trusts it. One listener serves the console and the page for holders. */
export async function startOidcConsole(
  policy: string,
  env: Readonly<Record<string, string>> = {},
): Promise<OidcConsole> {
  const http = await freeAddress();
  const redirect = (page: string) => `http://${http}/${page}/oidc/callback`;
  const provider = await startProvider([redirect("console"), redirect("keys")]);
  const tested = await startConsole({
    policy,
    env: {
      HTTP_LISTEN: http,
      HOLDER_PAGE: "on",
      OIDC_ISSUER: provider.issuer,
      OIDC_CLIENT_ID: CLIENT.id,
      OIDC_CLIENT_SECRET: CLIENT.secret,
      OIDC_CONSOLE_REDIRECT_URL: redirect("console"),
      OIDC_KEYS_REDIRECT_URL: redirect("keys"),
      ...env,
    },
  });
  return {
    ...tested,
    provider,
    async stop() {
      await tested.stop();
      await provider.stop();
    },
  };
}
