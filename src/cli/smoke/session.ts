import type { LatchkeyClient } from "../../client/client.ts";
import { createClient } from "../../client/client.ts";
import { LatchkeyProblem } from "../../client/problem.ts";

/** The state that the checks of one run share. */
export interface SmokeSession {
  readonly url: string;
  /** A client without a credential. */
  readonly open: LatchkeyClient;
  /** A client with the operator's credential, if there is one. */
  readonly operator: LatchkeyClient | undefined;
  readonly envoy: { readonly url: string; readonly path: string } | undefined;
  /** Every key that the run registered. The run revokes them at its end. */
  readonly keys: string[];
  basic?: { readonly api_key: string; readonly key_id: string };
  /** Why `basic` is missing, if that is not a failure. */
  noKey?: Skipped;
  v1?: string;
}

/** Why a check is skipped: it needs something that the user could provide. */
export class Skipped extends Error {}

/** The deployment does not have the checked feature and does not need it. The user cannot provide anything. */
export class NotApplicable extends Skipped {}

const TIMEOUT_MS = 10_000;

export interface SmokeCheck {
  readonly name: string;
  /** Throws if the check fails, and {@link Skipped} if it does not apply. */
  run(session: SmokeSession): Promise<void>;
}

export interface SmokeSection {
  readonly title: string;
  readonly checks: readonly SmokeCheck[];
}

export function assert(condition: boolean, failure: string): void {
  if (!condition) throw new Error(failure);
}

/** The problem of a rejected call. Throws if the call succeeds. */
export async function denialOf(call: Promise<unknown>): Promise<LatchkeyProblem> {
  try {
    await call;
  } catch (error) {
    if (error instanceof LatchkeyProblem) return error;
    throw error;
  }
  throw new Error("the call was not rejected");
}

export function withTimeout(): RequestInit {
  return { signal: AbortSignal.timeout(TIMEOUT_MS) };
}

export function basicOf({ basic, noKey }: SmokeSession) {
  if (basic === undefined) throw noKey ?? new Error("no key was registered for this check");
  return basic;
}

export function v1Of({ v1 }: SmokeSession): string {
  if (v1 === undefined) throw new NotApplicable("no V1 key is issued");
  return v1;
}

export async function register(session: SmokeSession, role: string) {
  const client = session.operator ?? session.open;
  try {
    const issued = await client.register({ name: "smoke test", key_type: role });
    session.keys.push(issued.api_key);
    return issued;
  } catch (error) {
    if (session.operator === undefined && error instanceof LatchkeyProblem && error.status === 401)
      throw new Skipped(`only an operator can issue keys of the role ${role}: set LATCHKEY_TOKEN`);
    throw error instanceof LatchkeyProblem ? new Error(describeProblem(error)) : error;
  }
}

function describeProblem({ message, errors }: LatchkeyProblem): string {
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
