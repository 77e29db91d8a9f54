import type { LatchkeyClient } from "../../client/client.ts";
import { createClient } from "../../client/client.ts";
import { LatchkeyProblem } from "../../client/problem.ts";
import type { ConsoleSession, OpenedConsoleSession, SignIn } from "../../client/types.ts";
import type { BrowserSession } from "./browser-session.ts";
import { createBrowserSession, signedOutState } from "./browser-session.ts";
import { problemText } from "./problem-text.ts";

/** The console's session of this browser. */
export interface ConsoleSessions
  extends Omit<BrowserSession<ConsoleSession>, "begin" | "proof" | "resume" | "signOut"> {
  readonly client: LatchkeyClient;
  /** Asks whether this browser has a session. */
  resume(): Promise<void>;
  /** Rejects with the problem, and changes nothing, if the credential or the link is not valid. */
  signIn(by: SignIn): Promise<void>;
  /** Completes a sign-in by OpenID Connect. Rejects with the problem, and changes nothing, if it is not valid. */
  signInByOidc(): Promise<void>;
  /** Always signs this browser out. Never rejects. */
  signOut(): Promise<void>;
  /** The headers of a call of this session. */
  headers(): Readonly<Record<string, string>>;
}

const SIGNED_OUT_HERE =
  "This browser has signed out, but Latchkey could not end other copies of the session. They end by themselves.";

export function createConsoleSessions(origin: string, storage: Storage): ConsoleSessions {
  const headers = () => ({ "x-latchkey-console": browser.proof() });
  const client = createClient({ url: origin, headers });
  const browser = createBrowserSession<ConsoleSession>(storage, "latchkey-console-proof", {
    session: () => client.console.session(),
    renew: () => client.console.renew(),
    endOf: (problem) => (isEnd(problem) ? problem.message : undefined),
  });
  const begin = ({ proof, ...session }: OpenedConsoleSession) => browser.begin(proof, session);
  return {
    ...browser,
    client,
    headers,
    resume: () => browser.resume(),
    signIn: (by) => client.console.signIn(by).then(begin),
    signInByOidc: () => client.console.signInByOidc().then(begin),
    async signOut() {
      try {
        browser.signOut(signedOutState(await client.console.signOut()));
      } catch (problem) {
        if (isEnd(problem)) browser.signOut();
        else browser.signOut({ because: `${SIGNED_OUT_HERE} ${problemText(problem).sentence}` });
      }
    },
  };
}

/** Whether the problem says that the session or its credential has ended. */
function isEnd(problem: unknown): problem is LatchkeyProblem {
  return problem instanceof LatchkeyProblem && problem.status === 401;
}
