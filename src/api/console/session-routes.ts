import { useLink } from "../../core/keys/console-session.ts";
import type { Caller } from "../../core/keys/operator.ts";
import { callerHas, callerName, OPERATOR_SCOPES } from "../../core/keys/operator.ts";
import { KEY_PROBLEMS, SESSION_PROBLEMS } from "../http/access.ts";
import { callerOfSession, callerWith } from "../http/caller.ts";
import { originOf } from "../http/calls.ts";
import type { Call, Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import { sendProblem } from "../http/problem.ts";
import type { FailedCredential } from "../http/unauthenticated-calls.ts";
import { denyUnauthenticated } from "../http/unauthenticated-calls.ts";
import type { SignInCookie } from "../sign-in/signed-in-cookie.ts";
import type { Link } from "./links.ts";
import type { ConsolePorts, OperatorResult } from "./session-access.ts";
import { operatorOf, ownPages, presentedOperators, signedIn } from "./session-access.ts";
import {
  sendSignedOut,
  sendUncached,
  sessionTimes,
  setSessionCookie,
  signedOutResponse,
} from "./session-replies.ts";
import { linkResponse, openedSessionResponse, sessionResponse, signInBody } from "./session-schemas.ts";
import type { Session } from "./sessions.ts";
import { CONSOLE_SURFACE } from "./sessions.ts";

const PATH = "/api/console/session";
const DENIALS = [...KEY_PROBLEMS, ...SESSION_PROBLEMS] as const;

/** The sessions of the operator console, and the links that open one. */
export function sessionRoutes(ports: ConsolePorts): readonly Endpoint[] {
  return [signInRoute(ports), showRoute(ports), renewRoute(ports), signOutRoute(ports), linkRoute(ports)];
}

function signInRoute(ports: ConsolePorts): Endpoint {
  return endpoint({
    method: "POST",
    path: PATH,
    summary: "Sign in to the console",
    description:
      "Exchanges an operator credential, or the code of a sign-in link, for a session in a cookie. Only a page of the same origin can call it.",
    access: ownPages(ports),
    writes: false,
    body: signInBody,
    response: { status: 201, description: "The session.", schema: openedSessionResponse },
    problems: ["link_invalid", "operator_scope_missing", "store_unavailable", ...KEY_PROBLEMS],
    async handle(call) {
      const deny = (failed: FailedCredential) => denyUnauthenticated(call.request, call.reply, ports, failed);
      const link = call.body.link === undefined ? undefined : ports.links.open(call.body.link);
      const token = link?.subject.token ?? call.body.credential;
      if (token === undefined) return deny({ problem: "link_invalid" });
      const found = await operatorWith(token, call, ports);
      if (!found.ok) return deny(found);
      if (link !== undefined && !(await isUnused(link, call, { ports, caller: found.caller })))
        return deny({ problem: "link_invalid" });
      const session = ports.sessions.create({ kind: "credential", token });
      if (!setSessionCookie(call, CONSOLE_SURFACE, ports.sessions, session)) return sendTooLong(call);
      const body = sessionBody(ports, session, found.caller);
      return sendUncached(call.reply.code(201), { ...body, proof: session.proof });
    },
  });
}

type AnyCall = Pick<Call<unknown, unknown>, "request" | "reply">;

async function operatorWith(token: string, call: AnyCall, ports: ConsolePorts): Promise<OperatorResult> {
  // The characters that a header can carry as a credential (RFC 6750 §2.1).
  if (!/^[A-Za-z0-9\-._~+/]+=*$/.test(token)) return { ok: false, problem: "credential_invalid" };
  return operatorOf(await callerWith(token, call.request, ports));
}

/** Whether this call is the first with this link. */
function isUnused(
  { linkId, until }: Link,
  { request }: AnyCall,
  { ports, caller }: { readonly ports: ConsolePorts; readonly caller: Caller },
): Promise<boolean> {
  return useLink(ports.registry, { linkId, until }, originOf(request, caller, ports));
}

/** Opens a session for a person that has signed in by OpenID Connect. */
export function personSessionRoute(ports: ConsolePorts, cookie: SignInCookie): Endpoint {
  return endpoint({
    method: "POST",
    path: `${PATH}/oidc`,
    summary: "Exchange a sign-in by OpenID Connect for a session of the console",
    description: "The sign-in is in a cookie. It works once, within a minute.",
    access: ownPages(ports),
    writes: false,
    response: { status: 201, description: "The session.", schema: openedSessionResponse },
    problems: ["sign_in_expired", "operator_scope_missing", "store_unavailable", ...DENIALS],
    async handle(call) {
      const deny = (failed: FailedCredential) => denyUnauthenticated(call.request, call.reply, ports, failed);
      const result = cookie.result(call.request);
      if (result === undefined) return deny({ problem: "sign_in_expired" });
      const session = ports.sessions.create(result.subject, result.signedInMs);
      const found = operatorOf(await callerOfSession(session, call.request, ports));
      if (!found.ok) return deny(found);
      const once = { linkId: result.id, until: result.until, event: "person_signed_in" } as const;
      if (!(await useLink(ports.registry, once, originOf(call.request, found.caller, ports))))
        return deny({ problem: "sign_in_expired" });
      cookie.clear(call.request, call.reply);
      setSessionCookie(call, CONSOLE_SURFACE, ports.sessions, session);
      const body = sessionBody(ports, session, found.caller);
      return sendUncached(call.reply.code(201), { ...body, proof: session.proof });
    },
  });
}

function showRoute(ports: ConsolePorts): Endpoint {
  return endpoint({
    method: "GET",
    path: PATH,
    summary: "Show the session of the console",
    access: signedIn(ports),
    writes: false,
    response: { status: 200, description: "The session.", schema: sessionResponse },
    handle: async ({ reply, caller: { session, origin } }) =>
      sendUncached(reply, sessionBody(ports, session, origin.caller)),
  });
}

function renewRoute(ports: ConsolePorts): Endpoint {
  return endpoint({
    method: "PUT",
    path: PATH,
    summary: "Report that the person of the session is active",
    description: "Moves the end of an idle session. The latest end stays.",
    access: signedIn(ports),
    writes: false,
    response: { status: 200, description: "The session.", schema: sessionResponse },
    async handle(call) {
      const { session, origin } = call.caller;
      const renewed = { ...session, seenMs: ports.nowMs() };
      setSessionCookie(call, CONSOLE_SURFACE, ports.sessions, renewed);
      return sendUncached(call.reply, sessionBody(ports, renewed, origin.caller));
    },
  });
}

function signOutRoute(ports: ConsolePorts): Endpoint {
  return endpoint({
    method: "DELETE",
    path: PATH,
    summary: "Sign out of the console",
    description: "Ends the session on every instance, also for a copy of its cookie.",
    access: signedIn(ports),
    writes: true,
    response: { status: 200, description: "The session has ended.", schema: signedOutResponse },
    handle: (call) => sendSignedOut(call, CONSOLE_SURFACE, ports, call.caller),
  });
}

function linkRoute(ports: ConsolePorts): Endpoint {
  return endpoint({
    method: "POST",
    path: "/api/console/links",
    summary: "Create a sign-in link for the console",
    description:
      "The link signs in once, within a minute, with the credential of this call. A session cannot create one.",
    access: presentedOperators(ports),
    writes: true,
    response: { status: 201, description: "The link.", schema: linkResponse },
    async handle({ reply, caller }) {
      const { code, until } = ports.links.create(caller.token);
      const expiresAt = new Date(until * 1000).toISOString();
      return sendUncached(reply.code(201), { link: code, expires_at: expiresAt });
    },
  });
}

function sendTooLong(call: AnyCall) {
  const detail = "is too long for a session: a browser keeps about 2,800 bytes";
  return sendProblem(call.reply, "request_invalid", { errors: [{ pointer: "#/credential", detail }] });
}

function sessionBody({ sessions }: ConsolePorts, session: Session, caller: Caller) {
  return {
    name: callerName(caller),
    kind: caller.kind,
    scopes: OPERATOR_SCOPES.filter((scope) => callerHas(caller, scope)),
    ...sessionTimes(sessions, session),
  };
}
