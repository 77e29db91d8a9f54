import { setTimeout as pause } from "node:timers/promises";
import { expect } from "vitest";
import { HEALED_WITHIN_MS } from "./durations.ts";
import type { Answer, Front, SentRequest } from "./front.ts";
import type { Soaked } from "./soaked.ts";

/** A time in which requests of a kind must be denied. */
export type Period = symbol;

const AGAIN_MS = 50;

export type Role = "basic" | "narrow" | "limited" | "brief";

/** The keys of a soak. A key whose call got no response is not among them, because its state is unknown. */
export interface SoakKeys {
  valid: string;
  /** Without the scope of `/a/**`. */
  narrow: string;
  /** With few tokens per second. */
  limited: string;
  /** A V1 key. */
  legacy: string;
  /** Revoked, disabled, or signed by a key that was retired. */
  readonly ended: string[];
  /** While `/b/**` needs another scope, and while V1 keys are removed. */
  closed: Period | undefined;
  removed: Period | undefined;
  /** The number of issued keys. */
  issued: number;
}

/** Calls the API until it succeeds: on a busy machine a call may time out. */
export async function insist<Result>(call: () => Promise<Result>): Promise<Result> {
  const lateMs = performance.now() + HEALED_WITHIN_MS;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (performance.now() > lateMs) throw error;
      await pause(AGAIN_MS);
    }
  }
}

export async function issue({ operator }: Soaked, keys: { issued: number }, role: Role = "basic") {
  const issued = await operator.register({ name: "soak", key_type: role });
  keys.issued += 1;
  return issued;
}

export async function firstKeys(soaked: Soaked): Promise<SoakKeys> {
  const legacy = await insist(() => soaked.operator.registerLegacy({ name: "soak", key_type: "basic" }));
  const none = { valid: "", narrow: "", limited: "", issued: 1 };
  const keys = { ...none, legacy: legacy.api_key, ended: [], closed: Symbol("closed"), removed: undefined };
  await renewKeys(soaked, keys);
  while (keys.ended.length < 2) await endOne(soaked, keys, keys.ended.length);
  return keys;
}

/** Replaces all keys but the V1 key. Returns the former ones, which are still valid. */
export async function renewKeys(soaked: Soaked, keys: SoakKeys): Promise<readonly string[]> {
  const former = [keys.valid, keys.narrow, keys.limited];
  const next = async (role: Role) => (await insist(() => issue(soaked, keys, role))).api_key;
  keys.valid = await next("basic");
  keys.narrow = await next("narrow");
  keys.limited = await next("limited");
  return former;
}

/** Registers a key and ends it: revoked or disabled. */
export async function endOne(soaked: Soaked, keys: SoakKeys, draw: number): Promise<void> {
  try {
    const { api_key, key_id } = await issue(soaked, keys);
    if (draw % 2 === 0) await soaked.operator.keys.revoke(key_id);
    else await soaked.operator.keys.change(key_id, { disabled: true });
    keys.ended.push(api_key);
  } catch {
    // The store or the process is unavailable.
  }
}

export function withKey(key: string, path = "/a/x"): SentRequest {
  return { path, headers: { authorization: `Bearer ${key}` } };
}

export function withLegacyKey(key: string): SentRequest {
  return { path: "/a/x", headers: { "x-api-key": key } };
}

/** Sends the request until its outcome is this one: `allowed`, or `denied` and a reason. */
export async function until(
  front: Front,
  request: SentRequest,
  outcome: string,
  message: string,
): Promise<void> {
  const send = async () => {
    const { verdict, reason } = await front.send(request);
    return `${verdict} ${reason}`.trimEnd();
  };
  await expect.poll(send, { timeout: HEALED_WITHIN_MS, message }).toBe(outcome);
}

/** The first verdict on the request. */
export async function verdictOn(front: Front, request: SentRequest): Promise<Answer["verdict"]> {
  const lateMs = performance.now() + HEALED_WITHIN_MS;
  for (;;) {
    const { verdict } = await front.send(request);
    if (verdict !== "unavailable" || performance.now() > lateMs) return verdict;
    await pause(AGAIN_MS);
  }
}
