import { once } from "node:events";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AccountClaims } from "oidc-provider";
import Provider from "oidc-provider";

export const CLIENT = { id: "latchkey", secret: "a-client-secret-of-the-tests-0123456789" } as const;

export interface TestedProvider {
  readonly issuer: string;
  /** The claims of the person that signs in next. */
  person: Readonly<Record<string, unknown>> & { readonly sub: string };
  /** Paths that were called. */
  readonly calls: string[];
  /** Responds with this instead, for the calls for which it returns true; undefined restores the regular responses. */
  intercept: ((request: IncomingMessage, response: ServerResponse) => boolean) | undefined;
  stop(): Promise<void>;
}

/**
 * A certified OpenID Connect provider, which asks no questions: the person is signed in by its start page at once.
 * @param redirectUrls the registered callbacks
 */
export async function startProvider(
  redirectUrls: readonly string[],
  options: { readonly claimsInIdToken?: boolean; readonly port?: number } = {},
): Promise<TestedProvider> {
  let handle: ((request: IncomingMessage, response: ServerResponse) => void) | undefined;
  const server = createServer((request, response) => {
    tested.calls.push(new URL(request.url ?? "/", tested.issuer).pathname);
    if (tested.intercept?.(request, response) !== true) handle?.(request, response);
  });
  server.listen(options.port ?? 0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const tested: TestedProvider = {
    issuer: `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`,
    person: { sub: "ann" },
    calls: [],
    intercept: undefined,
    stop: () => stop(server),
  };
  handle = newProvider(tested, redirectUrls, options.claimsInIdToken ?? true).callback();
  return tested;
}

function newProvider(
  tested: TestedProvider,
  redirectUrls: readonly string[],
  claimsInIdToken: boolean,
): Provider {
  const provider = new Provider(tested.issuer, {
    clients: [
      {
        client_id: CLIENT.id,
        client_secret: CLIENT.secret,
        redirect_uris: [...redirectUrls],
        post_logout_redirect_uris: redirectUrls.map((url) => url.replace(/\/oidc\/callback$/, "")),
        grant_types: ["authorization_code"],
        response_types: ["code"],
      },
    ],
    pkce: { required: () => true },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "groups", "org"] },
    conformIdTokenClaims: !claimsInIdToken,
    features: { devInteractions: { enabled: false }, userinfo: { enabled: true } },
    interactions: { url: (_, { uid }) => `/interaction/${uid}` },
    findAccount: async (_, sub) => ({
      accountId: sub,
      claims: async (): Promise<AccountClaims> => ({ ...tested.person, sub }),
    }),
    cookies: { keys: ["a-key-of-the-tests"] },
    ttl: { AccessToken: 60, AuthorizationCode: 60, Grant: 600, IdToken: 600, Interaction: 600, Session: 600 },
    async loadExistingGrant(context) {
      const grant = new context.oidc.provider.Grant({
        clientId: CLIENT.id,
        accountId: context.oidc.session?.accountId ?? "",
      });
      grant.addOIDCScope("openid email profile");
      await grant.save();
      return grant;
    },
  });
  provider.use(async (context, next) => {
    if (!context.path.startsWith("/interaction/")) return next();
    await provider.interactionFinished(context.req, context.res, {
      login: { accountId: tested.person.sub },
      consent: {},
    });
    context.respond = false;
  });
  return provider;
}

async function stop(server: Server): Promise<void> {
  server.close();
  server.closeAllConnections();
  if (server.listening) await once(server, "close");
}

/** Follows the redirects of the provider as a browser does. Returns the callback to which the last one leads. */
export async function signInAt({ issuer }: TestedProvider, url: string): Promise<URL> {
  const cookies = new Map<string, string>();
  let at = new URL(url);
  for (let redirects = 0; at.origin === issuer; redirects++) {
    if (redirects > 10) throw new Error("the provider redirects without end");
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await fetch(at, { redirect: "manual", headers: { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      cookies.set(name, value);
    }
    const location = response.headers.get("location");
    if (location === null)
      throw new Error(`the provider responds ${response.status}: ${await response.text()}`);
    at = new URL(location, at);
  }
  return at;
}
