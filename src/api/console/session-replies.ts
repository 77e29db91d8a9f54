import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { endSession } from "../../core/keys/console-session.ts";
import type { CallOrigin } from "../../core/keys/operation-audit.ts";
import type { ApiPorts } from "../http/calls.ts";
import { formatTime } from "../keys/responses.ts";
import { clearPageCookie, setPageCookie } from "./session-cookie.ts";
import type { Session, SessionSurface, Sessions } from "./sessions.ts";
import { ABSOLUTE_SECONDS } from "./sessions.ts";

type AnyCall = { readonly request: FastifyRequest; readonly reply: FastifyReply };

/** Puts the session into its cookie. Returns false if it is too long for one. */
export function setSessionCookie(
  { request, reply }: AnyCall,
  { cookie }: Pick<SessionSurface, "cookie">,
  sessions: Pick<Sessions, "seal">,
  session: Session,
): boolean {
  const value = { value: sessions.seal(session), maxAgeSeconds: ABSOLUTE_SECONDS };
  return setPageCookie(request, reply, cookie, value);
}

export interface SignOutPorts extends Pick<ApiPorts, "registry"> {
  /** Where a person signs out of the provider too. Absent if no one signs in by OpenID Connect. */
  readonly providerSignOut?: () => Promise<string | undefined>;
}

export const signedOutResponse = z
  .object({
    provider_sign_out: z.string().nullable().meta({
      description:
        "Where a person that has signed in by OpenID Connect signs out of the provider too. Null if the provider offers no such page.",
    }),
  })
  .meta({ title: "SignedOut" });

/** Ends the session on every instance, and clears its cookie. */
export async function sendSignedOut(
  { request, reply }: AnyCall,
  { cookie }: Pick<SessionSurface, "cookie">,
  { registry, providerSignOut }: SignOutPorts,
  { session, origin }: { readonly session: Session; readonly origin: CallOrigin },
): Promise<FastifyReply> {
  clearPageCookie(request, reply, cookie);
  const expiresAt = Math.ceil(session.startedMs / 1000) + ABSOLUTE_SECONDS;
  await endSession(registry, { sessionId: session.id, expiresAt }, origin);
  const url = session.subject.kind === "credential" ? undefined : await providerSignOut?.();
  return sendUncached(reply, { provider_sign_out: url ?? null });
}

/** Sends what no cache may keep. */
export function sendUncached(reply: FastifyReply, body: object): FastifyReply {
  return reply.header("cache-control", "no-store").send(body);
}

/** The times of a session, for its body. */
export function sessionTimes(sessions: Pick<Sessions, "endsMs">, session: Session) {
  const time = (ms: number) => formatTime(Math.floor(ms / 1000));
  return {
    started_at: time(session.startedMs),
    ends_at: time(sessions.endsMs(session)),
    ends_at_latest: time(session.startedMs + ABSOLUTE_SECONDS * 1000),
  };
}
