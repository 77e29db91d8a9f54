import type { FastifyReply, FastifyRequest } from "fastify";
import { addressGroup } from "../core/client-address.ts";
import type { Policy } from "../core/policy.ts";
import type { BucketStore, KeyVerifier } from "../core/ports.ts";
import type { ProblemName } from "./problem.ts";
import { sendProblem } from "./problem.ts";
import { addressOf } from "./request-facts.ts";

/** What charges a client address (`guards.open_calls`). */
export interface OpenCallPorts {
  readonly policy: () => Policy;
  readonly nowMs: () => number;
  readonly trustedHops: number;
  /** In this instance's memory. */
  readonly guard: BucketStore;
  readonly verifier: KeyVerifier;
}

/** Why a call is refused for its credential. */
export interface CredentialRefusal {
  readonly problem: ProblemName;
  /** Whether the address has been charged for the call. */
  readonly charged?: true;
  /** With `too_many_calls`: whole seconds. */
  readonly retryAfterSeconds?: number;
}

/** Whether the address may make one more call, which is charged; the refusal has been sent otherwise. */
export async function admitOpen(
  request: FastifyRequest,
  reply: FastifyReply,
  ports: OpenCallPorts,
): Promise<boolean> {
  const retryAfterSeconds = await chargeOpen(request, ports);
  if (retryAfterSeconds === 0) return true;
  sendProblem(reply, "too_many_calls", { retryAfterSeconds });
  return false;
}

/** Refuses a call for which no credential vouches: charged unless it has been, and told so once there are too many. */
export async function refuseOpen(
  request: FastifyRequest,
  reply: FastifyReply,
  ports: OpenCallPorts,
  { problem, charged, retryAfterSeconds }: CredentialRefusal,
): Promise<FastifyReply> {
  if (!charged && !(await admitOpen(request, reply, ports))) return reply;
  return sendProblem(reply, problem, { ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) });
}

/**
 * Charges the look-up that a key takes which this instance does not know, whatever comes of it: made-up keys reach the
 * store no more often than other open calls. Undefined where no look-up is needed.
 */
export async function chargeLookUp(
  token: string,
  request: FastifyRequest,
  ports: OpenCallPorts,
): Promise<number | undefined> {
  return ports.verifier.needsStore?.(token) ? chargeOpen(request, ports) : undefined;
}

/** Counts one open call; whole seconds to wait when there were too many, else 0. */
async function chargeOpen(request: FastifyRequest, ports: OpenCallPorts): Promise<number> {
  const limit = {
    name: "open-calls",
    per: "address",
    leased: false,
    ...ports.policy().guards.openCalls,
  } as const;
  const demand = { bucketId: `open:${addressGroup(addressOf(request, ports))}`, limit };
  const taken = await ports.guard.take([demand], 1, ports.nowMs());
  return taken.ok ? 0 : taken.retryAfterSeconds;
}
