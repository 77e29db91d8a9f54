import { expect, test } from "vitest";
import { decodeCheckResponse, encodeCheckRequest } from "../../scripts/protobuf.ts";
import { createClient } from "../../src/client/client.ts";
import { call, connectRaw, frame } from "../support/grpc-client.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";

const POLICY = `
roles: { basic: { scopes: [a], ttl: 1d, refresh_window: 1h, self_service: true } }
routes: [{ path: /a/**, scopes: [a] }]
`;

test("after a restart, invalid V1 keys from one address do not stop other addresses' keys from being served", async () => {
  const env = { JWT_SECRET: newSecret(), KEY_HASH_SECRET: newSecret(), GRPC_TRUSTED_HOPS: "1" };
  const before = await startLatchkey(env, { policy: POLICY });
  const { api_key } = await createClient({ url: `http://${before.http}` }).registerLegacy({
    name: "v1",
    key_type: "basic",
  });
  await before.stop();
  // No key is cached.
  const latchkey = await startLatchkey({ ...env, DATA_DIR: before.dataDir }, { policy: POLICY });
  const session = await connectRaw(latchkey.grpc);
  const check = async (key: string, from: string) => {
    const headers = { authorization: `Bearer ${key}`, "x-forwarded-for": from };
    const http = { method: "GET", path: "/a/x", host: "x", scheme: "https", headers };
    const { body } = await call(session, frame(encodeCheckRequest({ attributes: { request: { http } } })));
    const { status, ...response } = decodeCheckResponse(body.subarray(5));
    if (status.code === 0) return "allowed";
    const responseHeaders = "denied_response" in response ? (response.denied_response.headers ?? []) : [];
    return responseHeaders.find(({ header }) => header.key === "x-latchkey-reason")?.header.value;
  };
  try {
    const guesses = Array.from({ length: 3000 }, (_, at) => check(`invalid-key-${at}`, "192.0.2.1"));
    // Immediately after them, so that no budget has been refilled.
    const good = check(api_key, "198.51.100.1");
    const reasons = await Promise.all(guesses);
    expect(reasons).not.toContain("allowed");
    expect(reasons).toContain("credential_unavailable");
    expect(await good).toBe("allowed");
  } finally {
    session.close();
    await latchkey.stop();
  }
});
