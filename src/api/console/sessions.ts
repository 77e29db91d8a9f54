import { randomBytes, timingSafeEqual } from "node:crypto";
import type { FastifyRequest } from "fastify";
import { z } from "zod";
import type { RevocationView } from "../../core/revocation/revocation-view.ts";
import { isFromOwnPage } from "./own-pages.ts";
import type { Seal, SealPurpose } from "./seal.ts";
import type { PageCookie } from "./session-cookie.ts";
import { CONSOLE_COOKIE, pageCookie } from "./session-cookie.ts";

/** A session ends this long after the person's last action, and at the latest this long after the sign-in. */
export const IDLE_SECONDS = 30 * 60;
export const ABSOLUTE_SECONDS = 12 * 3600;

/** The header that every call of a console page has. Its value is the session's proof. */
export const CONSOLE_HEADER = "x-latchkey-console";

/** What separates the sessions of one page from those of another, also if one listener serves both. */
export interface SessionSurface {
  readonly cookie: PageCookie;
  readonly header: string;
  readonly purpose: Extract<SealPurpose, "session" | "holder-session">;
  /** The prefix of the sessions' ids. */
  readonly prefix: string;
}

export const CONSOLE_SURFACE: SessionSurface = {
  ...{ cookie: CONSOLE_COOKIE, header: CONSOLE_HEADER },
  ...{ purpose: "session", prefix: "console" },
};

export const HOLDER_SURFACE: SessionSurface = {
  ...{ cookie: { name: "latchkey-keys", sameSite: "Strict" }, header: "x-latchkey-keys" },
  ...{ purpose: "holder-session", prefix: "holder" },
};

const personMembers = { subject: z.string(), name: z.string() };

/** The party that has signed in. It is judged at each call, so the session ends with what it stands on. */
export const sessionSubject = z.discriminatedUnion("kind", [
  z.object({ kind: z.literal("credential"), token: z.string() }),
  z.object({
    kind: z.literal("operator"),
    /** The provider that vouched for the person. */
    issuer: z.string(),
    person: z.object({ ...personMembers, held: z.array(z.string()) }),
  }),
  z.object({
    kind: z.literal("holder"),
    issuer: z.string(),
    person: z.object({ ...personMembers, owner: z.string(), claim: z.string() }),
  }),
]);

const sealedSession = z.object({
  /** Has the form of a key id, so that the revocation feed can end the session. */
  id: z.string(),
  subject: sessionSubject,
  /** Presented with each call. A cookie that another port of the host has received is useless without it. */
  proof: z.string(),
  startedMs: z.number(),
  /** The last action of the person. */
  seenMs: z.number(),
});

export type Session = z.output<typeof sealedSession>;
export type SessionSubject = z.output<typeof sessionSubject>;

export type SessionResult =
  /** The call is not one of a console page. */
  | { readonly kind: "none" }
  | { readonly kind: "cross_site" }
  | { readonly kind: "ended" }
  | { readonly kind: "open"; readonly session: Session };

export interface SessionPorts {
  readonly surface?: SessionSurface;
  readonly seal: Seal;
  readonly view: Pick<RevocationView, "standing">;
  readonly nowMs: () => number;
}

/** The sessions of console pages. An instance keeps none of them: each is in its sealed cookie. */
export interface Sessions {
  /** @param signedInMs when the subject was established, if not now: a cut-off after it ends the session */
  create(subject: SessionSubject, signedInMs?: number): Session;
  /** The session of a call. Whether its credential is still valid is decided by the caller. */
  of(request: FastifyRequest): SessionResult;
  /** The value of the cookie, after an action of the person. */
  seal(session: Session): string;
  /** Milliseconds since 1970 at which the session ends if the person does nothing more. */
  endsMs(session: Session): number;
}

export function createSessions({ surface = CONSOLE_SURFACE, seal, view, nowMs }: SessionPorts): Sessions {
  const endsMs = ({ startedMs, seenMs }: Session) =>
    Math.min(startedMs + ABSOLUTE_SECONDS * 1000, seenMs + IDLE_SECONDS * 1000);
  return {
    create(subject, startedMs = nowMs()) {
      const id = `${surface.prefix}_${Math.floor(startedMs / 1000)}_${randomBytes(16).toString("hex")}`;
      return { id, subject, proof: randomBytes(24).toString("base64url"), startedMs, seenMs: nowMs() };
    },
    of(request) {
      const proof = request.headers[surface.header];
      if (typeof proof !== "string") return { kind: "none" };
      if (!isFromOwnPage(request)) return { kind: "cross_site" };
      const session = openSession(seal.open(surface.purpose, pageCookie(request, surface.cookie) ?? ""));
      const isOpen =
        session !== undefined &&
        isSame(session.proof, proof) &&
        nowMs() < endsMs(session) &&
        view.standing(session.id)?.revoked !== true;
      return isOpen ? { kind: "open", session } : { kind: "ended" };
    },
    seal: (session) => seal.seal(surface.purpose, JSON.stringify(session)),
    endsMs,
  };
}

function openSession(text: string | undefined): Session | undefined {
  return text === undefined ? undefined : sealedSession.safeParse(JSON.parse(text)).data;
}

function isSame(known: string, presented: string): boolean {
  const [left, right] = [Buffer.from(known), Buffer.from(presented)];
  return left.length === right.length && timingSafeEqual(left, right);
}
