import type { ConsoleSessions } from "../data/session.ts";
import { SignInRejected, takeSignInResult } from "../data/sign-in-text.ts";

const LINK = /^#link=([\w-]+)$/;

/**
 * Signs in if the URL has the code of a sign-in link, or resumes the session of this browser. The code leaves the URL and the
 * history before anything else happens.
 * @returns resolves with the problem of the sign-in, if it failed
 */
export async function signInByLink(sessions: ConsoleSessions): Promise<unknown> {
  const result = takeSignInResult();
  if (typeof result === "object") {
    await sessions.resume();
    return new SignInRejected(result.because);
  }
  if (result === "signed-in") return sessions.signInByOidc().then(() => undefined, failWith(sessions));
  const link = LINK.exec(location.hash)?.[1];
  if (link !== undefined) history.replaceState(null, "", location.pathname);
  await sessions.resume();
  if (link === undefined || !mayReplace(sessions)) return undefined;
  return sessions.signIn({ link }).then(() => undefined, failWith(sessions));
}

/** Anybody can send a link of their own. It must not silently make a person act as someone else. */
function mayReplace(sessions: ConsoleSessions): boolean {
  const state = sessions.state();
  if (state.kind !== "signed-in") return true;
  return confirm(
    `You are signed in as ${state.session.name}. Sign in as the person who created this link instead?`,
  );
}

/** A failed sign-in leaves an open session as it is. */
function failWith(sessions: ConsoleSessions) {
  return async (problem: unknown) => {
    await sessions.resume();
    return problem;
  };
}
