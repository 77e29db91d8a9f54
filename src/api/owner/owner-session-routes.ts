import { useLink } from "../../core/keys/console-session.ts";
import { ownPages } from "../console/session-access.ts";
import {
  sendSignedOut,
  sendUncached,
  sessionTimes,
  setSessionCookie,
  signedOutResponse,
} from "../console/session-replies.ts";
import { HOLDER_SURFACE } from "../console/sessions.ts";
import { originOf } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { denyUnauthenticated } from "../http/unauthenticated-calls.ts";
import type { SignInCookie } from "../sign-in/signed-in-cookie.ts";
import type { OwnerPorts, SignedInHolder } from "./owner-access.ts";
import { holderOf, signedInHolders } from "./owner-access.ts";
import { openedOwnerSessionResponse, ownerSessionResponse } from "./owner-schemas.ts";

const PATH = "/api/owner/session";

/** The sessions of the page for holders. */
export function ownerSessionRoutes(ports: OwnerPorts, cookie: SignInCookie): readonly Endpoint[] {
  return [signInRoute(ports, cookie), showRoute(ports), renewRoute(ports), signOutRoute(ports)];
}

function signInRoute(ports: OwnerPorts, cookie: SignInCookie): Endpoint {
  return endpoint({
    method: "POST",
    path: PATH,
    summary: "Exchange a sign-in by OpenID Connect for a session of the page for holders",
    description: "The sign-in is in a cookie. It works once, within a minute.",
    access: ownPages(ports),
    writes: false,
    response: { status: 201, description: "The session.", schema: openedOwnerSessionResponse },
    problems: ["sign_in_expired", "session_ended", "revocations_stale", "store_unavailable"],
    async handle({ request, reply }) {
      const deny = (problem: "sign_in_expired" | "session_ended" | "revocations_stale") =>
        denyUnauthenticated(request, reply, ports, { problem });
      const result = cookie.result(request);
      if (result === undefined) return deny("sign_in_expired");
      const session = ports.holderSessions.create(result.subject, result.signedInMs);
      const holder = holderOf(session, ports);
      if (typeof holder === "string")
        return deny(holder === "revocations_stale" ? "revocations_stale" : "session_ended");
      const once = { linkId: result.id, until: result.until, event: "person_signed_in" } as const;
      if (!(await useLink(ports.registry, once, originOf(request, holder.owner, ports))))
        return deny("sign_in_expired");
      cookie.clear(request, reply);
      setSessionCookie({ request, reply }, HOLDER_SURFACE, ports.holderSessions, session);
      const body = sessionBody(ports, holder);
      return sendUncached(reply.code(201), { ...body, proof: session.proof });
    },
  });
}

function showRoute(ports: OwnerPorts): Endpoint {
  return endpoint({
    method: "GET",
    path: PATH,
    summary: "Show the session of the page for holders",
    access: signedInHolders(ports),
    writes: false,
    response: { status: 200, description: "The session.", schema: ownerSessionResponse },
    handle: async ({ reply, caller }) => sendUncached(reply, sessionBody(ports, caller)),
  });
}

function renewRoute(ports: OwnerPorts): Endpoint {
  return endpoint({
    method: "PUT",
    path: PATH,
    summary: "Report that the holder is active",
    description: "Moves the end of an idle session. The latest end stays.",
    access: signedInHolders(ports),
    writes: false,
    response: { status: 200, description: "The session.", schema: ownerSessionResponse },
    async handle(call) {
      const session = { ...call.caller.session, seenMs: ports.nowMs() };
      setSessionCookie(call, HOLDER_SURFACE, ports.holderSessions, session);
      return sendUncached(call.reply, sessionBody(ports, { ...call.caller, session }));
    },
  });
}

function signOutRoute(ports: OwnerPorts): Endpoint {
  return endpoint({
    method: "DELETE",
    path: PATH,
    summary: "Sign out of the page for holders",
    description: "Ends the session on every instance, also for a copy of its cookie.",
    access: signedInHolders(ports),
    writes: true,
    response: { status: 200, description: "The session has ended.", schema: signedOutResponse },
    handle: (call) => sendSignedOut(call, HOLDER_SURFACE, ports, call.caller),
  });
}

function sessionBody(
  { holderSessions, policy }: OwnerPorts,
  { name, owner, session }: Pick<SignedInHolder, "name" | "owner" | "session">,
) {
  const roles = [...policy().roles.values()].filter((role) => owner.roles.has(role.name));
  return {
    name,
    owner: owner.owner,
    roles: roles.map((role) => ({ name: role.name, scopes: [...role.scopes], ttl: role.ttlSeconds })),
    ...sessionTimes(holderSessions, session),
  };
}
