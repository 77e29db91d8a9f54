import type { LatchkeyClient } from "../../client/client.ts";
import { createClient } from "../../client/client.ts";
import { LatchkeyProblem } from "../../client/problem.ts";
import type { ConsoleSession, OpenedConsoleSession, SignIn } from "../../client/types.ts";
import { problemText } from "./problem-text.ts";
import { createStateStore } from "./state-store.ts";

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
  /** Completes a sign-in by OpenID Connect. Rejects with the problem, and changes nothing, if it is not valid. */
  signInByOidc(): Promise<void>;
  /** Always signs this browser out. Never rejects. */
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
const SIGNED_OUT_HERE =
  "This browser has signed out, but Latchkey could not end other copies of the session. They end by themselves.";

export function createConsoleSessions(origin: string, storage: Storage): ConsoleSessions {
  const headers = () => ({ "x-latchkey-console": storage.getItem(PROOF) ?? "none" });
  const client = createClient({ url: origin, headers });
  const { state, become, subscribe } = createStateStore<SessionState>({ kind: "unknown" });
  let renewedMs = 0;
  // Tabs of one profile share the cookie. A sign-in or sign-out in one of them changes whom all of them act for.
  addEventListener("storage", ({ key }) => {
    if (key === PROOF || key === null) void resume();
  });
  const end = (because?: string) => {
    storage.removeItem(PROOF);
    become({ kind: "signed-out", ...(because !== undefined && { because }) });
  };
  const begin = ({ proof, ...session }: OpenedConsoleSession) => {
    storage.setItem(PROOF, proof);
    renewedMs = Date.now();
    become({ kind: "signed-in", session });
  };
  const resume = async () => {
    if (storage.getItem(PROOF) === null) return end();
    try {
      become({ kind: "signed-in", session: await client.console.session() });
    } catch (problem) {
      if (isEnd(problem)) end(problem.message);
      else become({ kind: "unreachable", problem });
    }
  };
  const onProblem = (problem: unknown) => {
    if (state().kind === "signed-in" && isEnd(problem)) end(problem.message);
  };
  return {
    client,
    headers,
    state,
    subscribe,
    resume,
    signIn: (by) => client.console.signIn(by).then(begin),
    signInByOidc: () => client.console.signInByOidc().then(begin),
    async signOut() {
      try {
        await client.console.signOut();
        end();
      } catch (problem) {
        // Without the proof this browser has no session, whatever happens to its cookie.
        end(isEnd(problem) ? undefined : `${SIGNED_OUT_HERE} ${problemText(problem).sentence}`);
      }
    },
    onProblem,
    onAction() {
      if (state().kind !== "signed-in" || Date.now() - renewedMs < RENEW_EVERY_MS) return;
      renewedMs = Date.now();
      client.console.renew().then((session) => {
        if (state().kind === "signed-in") become({ kind: "signed-in", session });
      }, onProblem);
    },
  };
}

/** Whether the problem says that the session or its credential has ended. */
function isEnd(problem: unknown): problem is LatchkeyProblem {
  return problem instanceof LatchkeyProblem && problem.status === 401;
}
