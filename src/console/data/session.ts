import type { LatchkeyClient } from "../../client/client.ts";
import { createClient } from "../../client/client.ts";
import { LatchkeyProblem } from "../../client/problem.ts";
import type { ConsoleSession, SignIn } from "../../client/types.ts";

/** What the frame shows. */
export type SessionState =
  | { readonly kind: "unknown" }
  | { readonly kind: "unreachable"; readonly problem: unknown }
  /** `because`: the sentence that says why a session has ended. */
  | { readonly kind: "signed-out"; readonly because?: string }
  | { readonly kind: "signed-in"; readonly session: ConsoleSession };

/** The session of this browser. */
export interface ConsoleSessions {
  readonly client: LatchkeyClient;
  state(): SessionState;
  subscribe(onChange: () => void): () => void;
  /** Asks whether this browser has a session. */
  resume(): Promise<void>;
  /** Rejects with the problem, and changes nothing, if the credential or the link is not valid. */
  signIn(by: SignIn): Promise<void>;
  signOut(): Promise<void>;
  /** Reports a problem of any call. A call without a session signs out. */
  onProblem(problem: unknown): void;
  /** Reports an action of the person, which moves the end of the session. */
  onAction(): void;
  /** The headers of a call of this session. */
  headers(): Readonly<Record<string, string>>;
}

/** Not a credential: it is of no use without the cookie, which scripts cannot read. */
const PROOF = "latchkey-console-proof";
const RENEW_EVERY_MS = 60_000;

export function createConsoleSessions(origin: string, storage: Storage): ConsoleSessions {
  const headers = () => ({ "x-latchkey-console": storage.getItem(PROOF) ?? "none" });
  const client = createClient({ url: origin, headers });
  const listeners = new Set<() => void>();
  let state: SessionState = { kind: "unknown" };
  let renewedMs = 0;
  const become = (next: SessionState) => {
    state = next;
    for (const listener of listeners) listener();
  };
  const end = (because?: string) => {
    storage.removeItem(PROOF);
    become({ kind: "signed-out", ...(because !== undefined && { because }) });
  };
  const onProblem = (problem: unknown) => {
    if (state.kind === "signed-in" && isEnd(problem)) end(problem.message);
  };
  return {
    client,
    headers,
    state: () => state,
    subscribe(onChange) {
      listeners.add(onChange);
      return () => void listeners.delete(onChange);
    },
    async resume() {
      if (storage.getItem(PROOF) === null) return end();
      try {
        become({ kind: "signed-in", session: await client.console.session() });
      } catch (problem) {
        if (isEnd(problem)) end(problem.message);
        else become({ kind: "unreachable", problem });
      }
    },
    async signIn(by) {
      const { proof, ...session } = await client.console.signIn(by);
      storage.setItem(PROOF, proof);
      renewedMs = Date.now();
      become({ kind: "signed-in", session });
    },
    async signOut() {
      await client.console.signOut();
      end();
    },
    onProblem,
    onAction() {
      if (state.kind !== "signed-in" || Date.now() - renewedMs < RENEW_EVERY_MS) return;
      renewedMs = Date.now();
      client.console.renew().then((session) => {
        if (state.kind === "signed-in") become({ kind: "signed-in", session });
      }, onProblem);
    },
  };
}

/** Whether the problem says that the session or its credential has ended. */
function isEnd(problem: unknown): problem is LatchkeyProblem {
  return problem instanceof LatchkeyProblem && problem.status === 401;
}
