import type { FastifyReply, FastifyRequest } from "fastify";
import type { HolderRejection } from "../../core/sign-in/holder-person.ts";
import { holderPersonOf } from "../../core/sign-in/holder-person.ts";
import { operatorPersonOf } from "../../core/sign-in/operator-person.ts";
import { personId, personOf } from "../../core/sign-in/person.ts";
import type { IdentityProvider, SignInFailure } from "../../core/sign-in/ports.ts";
import type { SessionSubject } from "../console/sessions.ts";
import { possessors } from "../http/access.ts";
import type { ApiPorts } from "../http/calls.ts";
import type { Endpoint } from "../http/endpoint.ts";
import { endpoint } from "../http/endpoint.ts";
import type { ProblemName } from "../http/problem.ts";
import type { SignInCookie } from "./signed-in-cookie.ts";

/** A page to which people sign in by OpenID Connect. */
export interface SignInSurface {
  readonly name: "console" | "keys";
  /** The path of the page. */
  readonly path: "/console" | "/keys";
  /** The registered callback, at `<path>/oidc/callback`. */
  readonly redirectUrl: string;
  readonly cookie: SignInCookie;
}

export interface SignInPorts extends ApiPorts {
  readonly provider: IdentityProvider;
  /** The provider's issuer. */
  readonly signInIssuer: string;
}

/** Why a person is not signed in. The page has a sentence for each. */
export type SignInRejection =
  | SignInFailure
  | HolderRejection
  /** The sign-in took too long, or was started in another browser. */
  | "sign_in_expired"
  | "subject_missing"
  | "not_an_operator";

/** The redirect to the provider, and its callback. Both count against `guards.open_calls`. */
export function oidcRoutes(ports: SignInPorts, surface: SignInSurface): readonly Endpoint[] {
  const { path, redirectUrl, cookie } = surface;
  const common = { method: "GET", access: possessors(ports), writes: false } as const;
  const response = { status: 303, description: "A redirect." } as const;
  return [
    endpoint({
      ...common,
      path: `${path}/oidc`,
      summary: "Sign in by OpenID Connect",
      response,
      async handle({ request, reply }) {
        const begun = await ports.provider.begin(redirectUrl);
        if (!begun.ok) return reject(reply, surface, begun.failure);
        cookie.start(request, reply, begun.pending);
        return redirect(reply, begun.url);
      },
    }),
    endpoint({
      ...common,
      path: `${path}/oidc/callback`,
      summary: "Complete a sign-in by OpenID Connect",
      response,
      async handle({ request, reply }) {
        const subject = await completed(request, ports, surface);
        if (typeof subject === "string") {
          cookie.clear(request, reply);
          return reject(reply, surface, subject);
        }
        return cookie.finish(request, reply, subject)
          ? redirect(reply, `${path}#signed-in`)
          : reject(reply, surface, "sign_in_failed");
      },
    }),
  ];
}

/** Longer than any callback: a code has at most a few thousand characters. */
const MAX_QUERY = 8192;

async function completed(
  request: FastifyRequest,
  ports: SignInPorts,
  { name, redirectUrl, cookie }: SignInSurface,
): Promise<SessionSubject | SignInRejection> {
  const pending = cookie.pending(request);
  if (pending === undefined) return "sign_in_expired";
  const { url = "" } = request.raw;
  const query = url.includes("?") ? url.slice(url.indexOf("?")) : "";
  if (query.length > MAX_QUERY) return "sign_in_failed";
  // The URL of the request itself is not used: its host is the client's word.
  const callback = new URL(query, redirectUrl);
  const subjectOf = (claims: unknown) => subjectBy(name, claims, ports);
  const done = await ports.provider.complete(
    callback,
    pending,
    (claims) => typeof subjectOf(claims) !== "string",
  );
  if (!done.ok) return done.failure;
  const subject = subjectOf(done.claims);
  if (typeof subject === "string") return subject;
  if (subject.kind !== "credential")
    request.actor = `${subject.kind === "holder" ? "owner" : "person"}:${personId(subject.person)}`;
  return subject;
}

function subjectBy(
  surface: SignInSurface["name"],
  claims: unknown,
  { policy, signInIssuer: issuer }: SignInPorts,
): SessionSubject | SignInRejection {
  const person = personOf(claims);
  if (person === undefined) return "subject_missing";
  if (surface === "console") {
    const operator = operatorPersonOf(person, claims, policy());
    return operator === undefined
      ? "not_an_operator"
      : { kind: "operator", issuer, person: { ...operator, held: [...operator.held] } };
  }
  const holder = holderPersonOf(person, claims, policy());
  return typeof holder === "string" ? holder : { kind: "holder", issuer, person: holder };
}

/** The problem in the log. */
const PROBLEMS: Readonly<Partial<Record<SignInRejection, ProblemName>>> = {
  provider_unavailable: "credential_unavailable",
  not_an_operator: "operator_required",
};

/** Returns to the page, which says why. */
function reject(reply: FastifyReply, { path }: SignInSurface, why: SignInRejection): FastifyReply {
  reply.problem = PROBLEMS[why] ?? "credential_invalid";
  return redirect(reply, `${path}#sign-in=${why}`);
}

function redirect(reply: FastifyReply, location: string): FastifyReply {
  return reply
    .code(303)
    .headers({ location, "cache-control": "no-store", "referrer-policy": "no-referrer" })
    .send();
}
