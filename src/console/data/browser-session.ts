import type { SignedOut } from "../../client/types.ts";
import { createStateStore } from "./state-store.ts";

/** What a page knows of the session of this browser. */
export type BrowserSessionState<Session> =
  | { readonly kind: "unknown" }
  | { readonly kind: "unreachable"; readonly problem: unknown }
  /** `because`: the sentence that says why the person is not signed in. */
  | ({ readonly kind: "signed-out" } & SignedOutState)
  | { readonly kind: "signed-in"; readonly session: Session };

export interface SignedOutState {
  readonly because?: string;
  /** Where the person signs out of the provider too, after a sign-out in this tab. */
  readonly providerSignOut?: string;
}

/** The session that all tabs of a profile share. */
export interface BrowserSession<Session> {
  state(): BrowserSessionState<Session>;
  subscribe(onChange: () => void): () => void;
  /** What the calls of the session send beside its cookie. */
  proof(): string;
  /** Asks whether this browser has a session. `because`: why the person is not signed in, if it has none. */
  resume(because?: string): Promise<void>;
  begin(proof: string, session: Session): void;
  /** Signs this browser out, whatever happens to its cookie. */
  signOut(state?: SignedOutState): void;
  /** Reports a problem of any call. A call without a session signs out. */
  onProblem(problem: unknown): void;
  /** Reports an action of the person, which moves the end of the session. */
  onAction(): void;
}

export interface BrowserSessionCalls<Session> {
  session(): Promise<Session>;
  renew(): Promise<Session>;
  /** Why the session has ended, if the problem says that it has. */
  endOf(problem: unknown): string | undefined;
}

const RENEW_EVERY_MS = 60_000;

/** @param item the name of the item of `storage` that keeps the proof. It is of no use without the cookie, which scripts cannot read */
export function createBrowserSession<Session>(
  storage: Storage,
  item: string,
  calls: BrowserSessionCalls<Session>,
): BrowserSession<Session> {
  const { state, become, subscribe } = createStateStore<BrowserSessionState<Session>>({ kind: "unknown" });
  const proof = () => storage.getItem(item);
  let renewedMs = 0;
  // A sign-in or sign-out in one tab changes whom all of them act for.
  addEventListener("storage", ({ key }) => {
    if (key === item || key === null) void resume();
  });
  /** The proof of a session that has ended stays: another tab may have replaced it at this moment. */
  const resume = async (because?: string): Promise<void> => {
    const asked = proof();
    const next = asked === null ? signedOut(because) : await ask(calls, because);
    // The answer is about a session that another tab, or this one, has replaced meanwhile.
    if (proof() !== asked) return resume(because);
    become(next);
  };
  const isSignedIn = () => state().kind === "signed-in";
  const onProblem = (problem: unknown) => {
    // The call may have sent the proof of one session with the cookie of the next one.
    if (isSignedIn() && calls.endOf(problem) !== undefined) void resume();
  };
  return {
    state,
    subscribe,
    proof: () => proof() ?? "none",
    resume,
    begin(opened, session) {
      storage.setItem(item, opened);
      renewedMs = Date.now();
      become({ kind: "signed-in", session });
    },
    signOut(signed = {}) {
      storage.removeItem(item);
      become({ kind: "signed-out", ...signed });
    },
    onProblem,
    onAction() {
      if (!isSignedIn() || Date.now() - renewedMs < RENEW_EVERY_MS) return;
      renewedMs = Date.now();
      const renewed = proof();
      calls.renew().then((session) => {
        if (isSignedIn() && proof() === renewed) become({ kind: "signed-in", session });
      }, onProblem);
    },
  };
}

async function ask<Session>(
  { session, endOf }: BrowserSessionCalls<Session>,
  because?: string,
): Promise<BrowserSessionState<Session>> {
  try {
    return { kind: "signed-in", session: await session() };
  } catch (problem) {
    const end = endOf(problem);
    return end === undefined ? { kind: "unreachable", problem } : signedOut(because ?? end);
  }
}

export function signedOutState({ provider_sign_out: url }: SignedOut): SignedOutState {
  return url === null ? {} : { providerSignOut: url };
}

function signedOut(because?: string) {
  return { kind: "signed-out", ...(because !== undefined && { because }) } as const;
}
