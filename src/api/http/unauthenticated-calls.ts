import type { FastifyReply, FastifyRequest } from "fastify";
import { addressGroup } from "../../core/decision/client-address.ts";
import type { KeyVerifier } from "../../core/decision/ports.ts";
import type { BucketDemand, BucketStore } from "../../core/limits/ports.ts";
import type { Policy } from "../../core/policy/policy.ts";
import type { ProblemName } from "./problem.ts";
import { sendProblem } from "./problem.ts";
import { addressOf } from "./request-facts.ts";

/** The dependencies for charging a client address (`guards.open_calls`). */
export interface OpenCallPorts {
  readonly policy: () => Policy;
  readonly nowMs: () => number;
  readonly trustedHops: number;
  /** Its buckets are in the memory of this instance. */
  readonly guard: BucketStore & { refund(demand: BucketDemand, cost: number): void };
  readonly verifier: KeyVerifier;
}

/** Why a call is denied because of its credential. */
export interface FailedCredential {
  readonly problem: ProblemName;
  /** Whether the address has been charged for the call. */
  readonly charged?: true;
  /** Whole seconds; only with `too_many_calls`. */
  readonly retryAfterSeconds?: number;
}

/** Charges the address for one call. False if its limit is exceeded; then 429 has been sent. */
export async function admitOpen(
  request: FastifyRequest,
  reply: FastifyReply,
  ports: OpenCallPorts,
): Promise<boolean> {
  const retryAfterSeconds = await chargeUnauthenticated(request, ports);
  if (retryAfterSeconds === 0) return true;
  sendProblem(reply, "too_many_calls", { retryAfterSeconds });
  return false;
}

/** Denies a call because of its credential. Charges the address first, unless `charged`; above the limit it sends 429. */
export async function denyUnauthenticated(
  request: FastifyRequest,
  reply: FastifyReply,
  ports: OpenCallPorts,
  { problem, charged, retryAfterSeconds }: FailedCredential,
): Promise<FastifyReply> {
  if (!charged && !(await admitOpen(request, reply, ports))) return reply;
  return sendProblem(reply, problem, { ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) });
}

/** The charge for a look-up in the store. */
export type LookUpCharge =
  /** The token needs no look-up in the store. */
  | { readonly kind: "free" }
  | { readonly kind: "refused"; readonly retryAfterSeconds: number }
  /** Refund it if the key is valid. */
  | { readonly kind: "charged"; refund(): void };

/**
 * Charges the address before a key that this instance does not know is looked up. So invented keys reach the store no more
 * often than other unauthenticated calls.
 */
export async function chargeLookUp(
  token: string,
  request: FastifyRequest,
  ports: OpenCallPorts,
): Promise<LookUpCharge> {
  if (!ports.verifier.needsStore?.(token)) return { kind: "free" };
  const retryAfterSeconds = await chargeUnauthenticated(request, ports);
  if (retryAfterSeconds > 0) return { kind: "refused", retryAfterSeconds };
  return { kind: "charged", refund: () => ports.guard.refund(demandOf(request, ports), 1) };
}

/** Counts one call. Returns the whole seconds to wait if there were too many, else 0. */
async function chargeUnauthenticated(request: FastifyRequest, ports: OpenCallPorts): Promise<number> {
  const taken = await ports.guard.take([demandOf(request, ports)], 1, ports.nowMs());
  return taken.ok ? 0 : taken.retryAfterSeconds;
}

function demandOf(request: FastifyRequest, ports: OpenCallPorts): BucketDemand {
  const { openCalls } = ports.policy().guards;
  const limit = { name: "open-calls", per: "address", leased: false, ...openCalls } as const;
  return { bucketId: `open:${addressGroup(addressOf(request, ports))}`, limit };
}
