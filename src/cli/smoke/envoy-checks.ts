import type { SmokeSection, SmokeSession } from "./session.ts";
import { assert, basicOf, register, Skipped, withTimeout } from "./session.ts";

async function throughEnvoy({ envoy }: SmokeSession, key?: string) {
  if (envoy === undefined) throw new Skipped("give --envoy URL");
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const response = await fetch(`${envoy.url}${envoy.path}`, { headers, ...withTimeout() });
  return { status: response.status, reason: response.headers.get("x-latchkey-reason") };
}

export const envoy: SmokeSection = {
  title: "Testing Envoy",
  checks: [
    {
      name: "Envoy Denies a Request Without a Key",
      async run(session) {
        const { status, reason } = await throughEnvoy(session);
        assert(
          status === 401 && reason === "credential_missing",
          `the response is ${status} ${reason ?? ""}, not 401 credential_missing`,
        );
      },
    },
    {
      name: "Envoy Allows a Valid Key",
      async run(session) {
        const { status, reason } = await throughEnvoy(session, basicOf(session).api_key);
        // Accepts any response of the upstream, such as 404. A 5xx means that the upstream or Latchkey is unavailable.
        const isAllowed = reason === null && status !== 401 && status !== 403 && status < 500;
        assert(isAllowed, `the response is ${status} ${reason ?? ""}`);
      },
    },
    {
      name: "Envoy Denies a Revoked Key",
      async run(session) {
        if (session.envoy === undefined) throw new Skipped("give --envoy URL");
        const { api_key } = await register(session, "basic");
        await session.open.revoke(api_key);
        // Another instance may receive the revocation a moment later.
        const endMs = Date.now() + 2000;
        let { reason } = await throughEnvoy(session, api_key);
        while (reason !== "key_revoked" && Date.now() < endMs)
          ({ reason } = await throughEnvoy(session, api_key));
        assert(reason === "key_revoked", `the reason is ${reason ?? "absent"}, not key_revoked`);
      },
    },
  ],
};
