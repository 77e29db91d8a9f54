import type { FastifyReply, FastifyRequest } from "fastify";
import { addressGroup } from "../../core/decision/client-address.ts";
import type { KeyVerifier } from "../../core/decision/ports.ts";
import type { BucketDemand, BucketStore } from "../../core/limits/ports.ts";
import type { Policy } from "../../core/policy/policy.ts";
import type { ProblemName } from "./problem.ts";
import { sendProblem } from "./problem.ts";
import { addressOf } from "./request-facts.ts";

/** What charges a client address (`guards.open_calls`). */
export interface OpenCallPorts {
  readonly policy: () => Policy;
  readonly nowMs: () => number;
  readonly trustedHops: number;
  /** In this instance's memory. */
  readonly guard: BucketStore & { refund(demand: BucketDemand, cost: number): void };
  readonly verifier: KeyVerifier;
}

/** Why a call is refused for its credential. */
export interface CredentialDenial {
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

/** Refuses a call for its credential. The address is charged first, unless it has been; beyond its limit the answer is 429. */
export async function denyUnauthenticated(
  request: FastifyRequest,
  reply: FastifyReply,
  ports: OpenCallPorts,
  { problem, charged, retryAfterSeconds }: CredentialDenial,
): Promise<FastifyReply> {
  if (!charged && !(await admitOpen(request, reply, ports))) return reply;
  return sendProblem(reply, problem, { ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) });
}

/** What a look-up in the store costs. */
export type LookUpCharge =
  /** The token is no key that this instance would look up. */
  | { readonly kind: "free" }
  | { readonly kind: "refused"; readonly retryAfterSeconds: number }
  /** To be given back once the key is found good. */
  | { readonly kind: "charged"; refund(): void };

/**
 * Charges the look-up of a key that this instance does not know before it is made: made-up keys reach the store no more
 * often than other open calls.
 */
export async function chargeLookUp(
  token: string,
  request: FastifyRequest,
  ports: OpenCallPorts,
): Promise<LookUpCharge> {
  if (!ports.verifier.needsStore?.(token)) return { kind: "free" };
  const retryAfterSeconds = await chargeOpen(request, ports);
  if (retryAfterSeconds > 0) return { kind: "refused", retryAfterSeconds };
  return { kind: "charged", refund: () => ports.guard.refund(demandOf(request, ports), 1) };
}

/** Counts one open call; whole seconds to wait when there were too many, else 0. */
async function chargeOpen(request: FastifyRequest, ports: OpenCallPorts): Promise<number> {
  const taken = await ports.guard.take([demandOf(request, ports)], 1, ports.nowMs());
  return taken.ok ? 0 : taken.retryAfterSeconds;
}

function demandOf(request: FastifyRequest, ports: OpenCallPorts): BucketDemand {
  const { openCalls } = ports.policy().guards;
  const limit = { name: "open-calls", per: "address", leased: false, ...openCalls } as const;
  return { bucketId: `open:${addressGroup(addressOf(request, ports))}`, limit };
}
