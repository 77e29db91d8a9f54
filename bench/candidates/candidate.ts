import { fileURLToPath } from "node:url";
import { z } from "zod";
import { startChild } from "../../scripts/child.ts";
import { parseJson } from "../../scripts/latchkey-process.ts";
import { newSecret } from "../../test/support/keys.ts";
import { startLatchkey } from "../../test/support/latchkey.ts";
import type { TestedRedis } from "../../test/support/redis.ts";
import { benchPolicy } from "../decision.ts";
import { SERVER_CORE } from "../load.ts";
import { pin } from "../processes.ts";

/** A server that responds to Checks. */
export interface MeasuredServer {
  readonly name: string;
  /** `host:port`. */
  readonly grpc: string;
  readonly pid: number;
  readonly http?: string;
  readonly ops?: string;
  stop(): Promise<unknown>;
}

/** All measured servers sign and verify with this secret. */
export const SECRET = newSecret();

const listening = z.object({ port: z.number() });

/** Starts a server that decides nothing. */
export async function startBare(transport: "http2" | "grpc-js"): Promise<MeasuredServer> {
  const script = fileURLToPath(new URL("bare-server.ts", import.meta.url));
  const ready = Promise.withResolvers<number>();
  const child = await startChild(process.execPath, [script, transport], {
    env: process.env,
    onStdoutLine: (line) => ready.resolve(listening.parse(parseJson(line)).port),
  });
  child.exited.then(() => ready.reject(new Error(child.output())));
  const grpc = `127.0.0.1:${await ready.promise}`;
  await pin(child.pid, SERVER_CORE);
  return { ...child, name: `bare ${transport}`, grpc };
}

export interface LatchkeyVariant {
  readonly name: string;
  readonly redis?: TestedRedis;
  readonly policy?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts the real process with everything enabled. With Redis it leases buckets and reads the revocation feed. */
export async function startVariant({ name, redis, policy, env }: LatchkeyVariant): Promise<MeasuredServer> {
  const latchkey = await startLatchkey(
    {
      JWT_SECRET: SECRET,
      ADMIN_TOKEN: SECRET.split("").reverse().join(""),
      // With the default of 50 ms, a busy machine would measure the behaviour during an outage.
      ...(redis && { REDIS_URL: redis.url, REDIS_COMMAND_TIMEOUT_MS: "2000" }),
      ...env,
    },
    { policy: policy ?? benchPolicy() },
  );
  await pin(latchkey.pid, SERVER_CORE);
  return { ...latchkey, name };
}
