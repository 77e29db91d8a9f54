import { execFileSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { createClient } from "../../src/client/client.ts";
import { removeAtEnd } from "../support/at-end.ts";
import { newSecret } from "../support/keys.ts";
import { startLatchkey } from "../support/latchkey.ts";
import { startRedis } from "../support/redis.ts";
import { latchkeyUser } from "../support/redis-user.ts";

/** Registers and revokes at one instance, over this connection to Redis. */
async function lives(env: Readonly<Record<string, string>>): Promise<void> {
  const ADMIN_TOKEN = newSecret();
  const latchkey = await startLatchkey({ JWT_SECRET: newSecret(), ADMIN_TOKEN, ...env });
  try {
    const client = createClient({ url: `http://${latchkey.operator}`, token: ADMIN_TOKEN });
    const { api_key, key_id } = await client.register({ name: "n", key_type: "basic" });
    await client.keys.revoke(key_id);
    await expect(client.validate(api_key)).rejects.toMatchObject({ reason: "key-revoked" });
  } finally {
    await latchkey.stop();
  }
}

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "latchkey-ways-"));
  removeAtEnd(folder);
  return folder;
}

test("an instance connects to Redis over a Unix socket", async () => {
  const socket = join(newFolder(), "redis.sock");
  const redis = await startRedis({ args: ["--unixsocket", socket] });
  await lives({ REDIS_URL: `unix://${socket}` });
  await redis.stop();
});

test("an instance connects to Redis over TLS with a trusted certificate, and with no other", async () => {
  const folder = newFolder();
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  execFileSync("openssl", ["req", "-x509", ...curve, "-keyout", key, "-out", cert, ...subject], {
    stdio: "ignore",
  });
  const plain = await startRedis();
  await plain.stop();
  const tls = ["--tls-port", String(plain.port), "--tls-cert-file", cert, "--tls-key-file", key];
  const redis = await startRedis({ args: [...tls, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no"] });
  const REDIS_URL = `rediss://127.0.0.1:${plain.port}`;
  await lives({ REDIS_URL, NODE_EXTRA_CA_CERTS: cert });
  await lives({
    REDIS_HOST: "localhost",
    REDIS_PORT: String(plain.port),
    REDIS_TLS: "true",
    REDIS_CA: cert,
  });
  await expect(lives({ REDIS_URL })).rejects.toThrow("REDIS_TLS or rediss://");
  await redis.stop();
});

test("an instance warns if Redis would lose data", async () => {
  const redis = await startRedis({ args: ["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"] });
  const latchkey = await startLatchkey({ JWT_SECRET: newSecret(), REDIS_URL: redis.url });
  await expect.poll(latchkey.output).toContain("maxmemory-policy allkeys-lru");
  await expect.poll(latchkey.output).toContain("set appendonly yes");
  await latchkey.stop();
  await redis.stop();
});

test("a start that Redis denies half-way reports it and ends instead of hanging", async () => {
  const redis = await startRedis();
  const password = newSecret();
  // The user may do everything but receive revocations.
  await redis.cli("ACL", "SETUSER", ...latchkeyUser(password), "-xread");
  const started = startLatchkey({
    JWT_SECRET: newSecret(),
    REDIS_URL: `redis://latchkey:${password}@127.0.0.1:${redis.port}`,
  });
  await expect(started).rejects.toThrow(
    /exit code 1\b[\s\S]*Latchkey cannot start, because Redis rejects a setting/,
  );
  await redis.stop();
});
