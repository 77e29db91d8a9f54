import type { ConsoleSessions } from "../data/session.ts";

const LINK = /^#link=([\w-]+)$/;

/**
 * Signs in if the URL has the code of a sign-in link, or resumes the session of this browser. The code leaves the URL and the
 * history before anything else happens.
 * @returns resolves with the problem of the link, if it failed
 */
export async function signInByLink(sessions: ConsoleSessions): Promise<unknown> {
  const link = LINK.exec(location.hash)?.[1];
  if (link === undefined) {
    await sessions.resume();
    return undefined;
  }
  history.replaceState(null, "", location.pathname);
  try {
    await sessions.signIn({ link });
    return undefined;
  } catch (problem) {
    await sessions.resume();
    return problem;
  }
}
