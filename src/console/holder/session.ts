import type { LatchkeyClient } from "../../client/client.ts";
import { createClient } from "../../client/client.ts";
import { LatchkeyProblem } from "../../client/problem.ts";
import type { OwnerSession } from "../../client/types.ts";
import type { BrowserSession, BrowserSessionState } from "../data/browser-session.ts";
import { createBrowserSession, signedOutState } from "../data/browser-session.ts";
import { problemText } from "../data/problem-text.ts";
import { offersOidc, takeSignInResult } from "../data/sign-in-text.ts";

export type OwnerState = BrowserSessionState<OwnerSession>;

/** The holder's session of this browser. */
export interface OwnerSessions
  extends Omit<BrowserSession<OwnerSession>, "begin" | "proof" | "resume" | "signOut"> {
  /** Makes the calls of the session, and those of a pasted key. */
  readonly client: LatchkeyClient;
  readonly offersOidc: boolean;
  /** Completes a sign-in, or resumes the session of this browser. */
  start(): Promise<void>;
  signOut(): Promise<void>;
}

export function createOwnerSessions(origin: string, storage: Storage): OwnerSessions {
  const client = createClient({ url: origin, headers: () => ({ "x-latchkey-keys": browser.proof() }) });
  const browser = createBrowserSession<OwnerSession>(storage, "latchkey-keys-proof", {
    session: () => client.owner.session(),
    renew: () => client.owner.renew(),
    endOf,
  });
  return {
    ...browser,
    client,
    offersOidc: offersOidc(),
    /** A failed sign-in leaves an open session as it is, because any site can lead to the URL of one. */
    async start() {
      const result = takeSignInResult();
      if (!offersOidc()) return browser.signOut(typeof result === "object" ? result : undefined);
      if (result !== "signed-in") return browser.resume(result?.because);
      try {
        const { proof, ...session } = await client.owner.signIn();
        browser.begin(proof, session);
      } catch (problem) {
        await browser.resume(endOf(problem) ?? problemText(problem).sentence);
      }
    },
    async signOut() {
      browser.signOut(signedOutState(await client.owner.signOut()));
    },
  };
}

/** Why the session has ended, if the problem says that it has. */
function endOf(problem: unknown): string | undefined {
  if (!(problem instanceof LatchkeyProblem)) return undefined;
  if (problem.reason === "session-ended") return "Your session has ended. Sign in again.";
  return problem.reason === "sign-in-expired" ? problem.message : undefined;
}
