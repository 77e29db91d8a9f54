import type { LatchkeyClient } from "../../client/client.ts";
import { createClient } from "../../client/client.ts";
import { LatchkeyProblem } from "../../client/problem.ts";
import type { OwnerSession } from "../../client/types.ts";
import { offersOidc, takeSignInResult } from "../data/sign-in-text.ts";
import { createStateStore } from "../data/state-store.ts";

export type OwnerState =
  | { readonly kind: "unknown" }
  | { readonly kind: "unreachable"; readonly problem: unknown }
  /** `because`: why the person is not signed in. */
  | { readonly kind: "signed-out"; readonly because?: string }
  | { readonly kind: "signed-in"; readonly session: OwnerSession };

/** The session of this browser. */
export interface OwnerSessions {
  /** Makes the calls of the session, and those of a pasted key. */
  readonly client: LatchkeyClient;
  readonly offersOidc: boolean;
  state(): OwnerState;
  subscribe(onChange: () => void): () => void;
  /** Completes a sign-in, or resumes the session of this browser. */
  start(): Promise<void>;
  signOut(): Promise<void>;
  onProblem(problem: unknown): void;
  /** Reports an action of the person, which moves the end of the session. */
  onAction(): void;
}

/** Not a credential: it is of no use without the cookie, which scripts cannot read. */
const PROOF = "latchkey-keys-proof";
const RENEW_EVERY_MS = 60_000;

export function createOwnerSessions(origin: string, storage: Storage): OwnerSessions {
  const headers = () => ({ "x-latchkey-keys": storage.getItem(PROOF) ?? "none" });
  const client = createClient({ url: origin, headers });
  const { state, become, subscribe } = createStateStore<OwnerState>({ kind: "unknown" });
  let renewedMs = 0;
  // Tabs of one profile share the cookie. A sign-in or sign-out in one of them changes whom all of them act for.
  addEventListener("storage", ({ key }) => {
    if (key === PROOF || key === null) void start();
  });
  const end = (because?: string) => {
    storage.removeItem(PROOF);
    become({ kind: "signed-out", ...(because !== undefined && { because }) });
  };
  const fail = (problem: unknown) => {
    if (isEnd(problem)) end(sentenceOf(problem));
    else become({ kind: "unreachable", problem });
  };
  const onProblem = (problem: unknown) => {
    if (state().kind === "signed-in" && isEnd(problem)) end(sentenceOf(problem));
  };
  const onSession = (session: OwnerSession) => become({ kind: "signed-in", session });
  const signIn = async () => {
    const { proof, ...session } = await client.owner.signIn();
    storage.setItem(PROOF, proof);
    renewedMs = Date.now();
    onSession(session);
  };
  const resume = async (because?: string) => {
    if (!offersOidc() || storage.getItem(PROOF) === null) return end(because);
    return client.owner.session().then(onSession, (problem: unknown) => {
      if (because !== undefined && isEnd(problem)) end(because);
      else fail(problem);
    });
  };
  const start = () => completeSignIn({ signIn, resume, fail });
  return {
    client,
    offersOidc: offersOidc(),
    state,
    subscribe,
    start,
    async signOut() {
      await client.owner.signOut();
      end();
    },
    onProblem,
    onAction() {
      if (state().kind !== "signed-in" || Date.now() - renewedMs < RENEW_EVERY_MS) return;
      renewedMs = Date.now();
      client.owner.renew().then((session) => state().kind === "signed-in" && onSession(session), onProblem);
    },
  };
}

interface SignInSteps {
  signIn(): Promise<void>;
  /** @param because why the person is not signed in, if there is no session either */
  resume(because?: string): Promise<void>;
  fail(problem: unknown): void;
}

/** A failed sign-in leaves an open session as it is, because any site can lead to the URL of one. */
async function completeSignIn({ signIn, resume, fail }: SignInSteps): Promise<void> {
  const result = takeSignInResult();
  if (result !== "signed-in") return resume(result?.because);
  try {
    await signIn();
  } catch (problem) {
    if (isEnd(problem)) await resume(sentenceOf(problem));
    else fail(problem);
  }
}

function sentenceOf({ reason, message }: LatchkeyProblem): string {
  return reason === "session-ended" ? "Your session has ended. Sign in again." : message;
}

/** Whether the problem says that the session has ended. */
function isEnd(problem: unknown): problem is LatchkeyProblem {
  return problem instanceof LatchkeyProblem && ["session-ended", "sign-in-expired"].includes(problem.reason);
}
