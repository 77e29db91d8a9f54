import type { LatchkeyClient } from "../../client/client.ts";
import { createClient } from "../../client/client.ts";
import { LatchkeyProblem } from "../../client/problem.ts";

/** What the checks of one run share. */
export interface SmokeSession {
  readonly url: string;
  /** Without a credential. */
  readonly open: LatchkeyClient;
  /** With the operator's; absent without one. */
  readonly operator: LatchkeyClient | undefined;
  readonly envoy: { readonly url: string; readonly path: string } | undefined;
  /** Every key that was registered: they are revoked at the end. */
  readonly keys: string[];
  basic?: { readonly api_key: string; readonly key_id: string };
  /** Why there is none, where that is no failure. */
  noKey?: Skipped;
  v1?: string;
}

/** Why a check does not run here: something is missing that the user could give. */
export class Skipped extends Error {}

/** What it looks at does not exist in this deployment, and need not: no failure, and nothing to be given. */
export class NotApplicable extends Skipped {}

const TIMEOUT_MS = 10_000;

export interface SmokeCheck {
  readonly name: string;
  /** Throws when it fails, {@link Skipped} when it does not apply. */
  run(world: SmokeSession): Promise<void>;
}

export interface SmokeSection {
  readonly title: string;
  readonly checks: readonly SmokeCheck[];
}

export function assert(holds: boolean, otherwise: string): void {
  if (!holds) throw new Error(otherwise);
}

/** The problem that a call is refused with; throws when it is not. */
export async function denialOf(call: Promise<unknown>): Promise<LatchkeyProblem> {
  try {
    await call;
  } catch (error) {
    if (error instanceof LatchkeyProblem) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

export function withTimeout(): RequestInit {
  return { signal: AbortSignal.timeout(TIMEOUT_MS) };
}

export function basicOf({ basic, noKey }: SmokeSession) {
  if (basic === undefined) throw noKey ?? new Error("there is no key to try it with");
  return basic;
}

export function v1Of({ v1 }: SmokeSession): string {
  if (v1 === undefined) throw new NotApplicable("no V1 key is given");
  return v1;
}

export async function register(world: SmokeSession, role: string) {
  const client = world.operator ?? world.open;
  try {
    const issued = await client.register({ name: "smoke test", key_type: role });
    world.keys.push(issued.api_key);
    return issued;
  } catch (error) {
    if (world.operator === undefined && error instanceof LatchkeyProblem && error.status === 401)
      throw new Skipped(`the role ${role} is an operator's to give: set LATCHKEY_TOKEN`);
    throw error instanceof LatchkeyProblem ? new Error(inFull(error)) : error;
  }
}

function inFull({ message, errors }: LatchkeyProblem): string {
  return [message, ...errors.map(({ pointer, detail }) => `${pointer} ${detail}`)].join(" ");
}

export function createSession(
  url: string,
  token: string | undefined,
  through: SmokeSession["envoy"],
): SmokeSession {
  return {
    url,
    open: createClient({ url }),
    operator: token === undefined ? undefined : createClient({ url, token }),
    envoy: through,
    keys: [],
  };
}
