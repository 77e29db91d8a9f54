import type { SmokeSection, SmokeSession } from "./session.ts";
import { assert, basicOf, register, Skipped, withTimeout } from "./session.ts";

async function throughEnvoy({ envoy }: SmokeSession, key?: string) {
  if (envoy === undefined) throw new Skipped("give --envoy URL");
  const headers = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const answer = await fetch(`${envoy.url}${envoy.path}`, { headers, ...withTimeout() });
  return { status: answer.status, reason: answer.headers.get("x-latchkey-reason") };
}

export const envoy: SmokeSection = {
  title: "Testing Envoy",
  checks: [
    {
      name: "Envoy Refuses a Request Without a Key",
      async run(world) {
        const { status, reason } = await throughEnvoy(world);
        assert(status === 401 && reason === "credential_missing", `it gets ${status} ${reason ?? ""}`);
      },
    },
    {
      name: "Envoy Lets a Good Key Through",
      async run(world) {
        const { status, reason } = await throughEnvoy(world, basicOf(world).api_key);
        // What upstream says of the path is its own; that it could not be asked, or Latchkey could not, is not.
        const through = reason === null && status !== 401 && status !== 403 && status < 500;
        assert(through, `it gets ${status} ${reason ?? ""}`);
      },
    },
    {
      name: "Envoy Refuses a Revoked Key",
      async run(world) {
        if (world.envoy === undefined) throw new Skipped("give --envoy URL");
        const { api_key } = await register(world, "basic");
        await world.open.revoke(api_key);
        // Another instance may hear of it a moment later.
        const endMs = Date.now() + 2000;
        let { reason } = await throughEnvoy(world, api_key);
        while (reason !== "key_revoked" && Date.now() < endMs)
          ({ reason } = await throughEnvoy(world, api_key));
        assert(reason === "key_revoked", `it gets ${reason ?? "through"}`);
      },
    },
  ],
};
