import { randomBytes } from "node:crypto";
import type { FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import type { PendingSignIn } from "../../core/sign-in/ports.ts";
import type { Seal } from "../console/seal.ts";
import type { PageCookie } from "../console/session-cookie.ts";
import { clearPageCookie, pageCookie, setPageCookie } from "../console/session-cookie.ts";
import type { SessionSubject } from "../console/sessions.ts";
import { sessionSubject } from "../console/sessions.ts";

/** How long a person may take at the provider. */
const PENDING_SECONDS = 600;
/** How long the page may take to fetch its session. */
const RESULT_SECONDS = 60;

const pendingCookie = z.object({
  state: z.string(),
  nonce: z.string(),
  verifier: z.string(),
  until: z.number(),
});
const resultCookie = z.object({
  id: z.string(),
  subject: sessionSubject,
  /** When the provider vouched for the subject. A cut-off after it ends the session. */
  signedInMs: z.number(),
  until: z.number(),
});

/** A completed sign-in that has not been exchanged for a session yet. */
export type SignedInResult = z.output<typeof resultCookie>;

export interface SignInCookiePorts {
  readonly seal: Seal;
  readonly nowMs: () => number;
}

/** Keeps a sign-in in the browser that has started it, so that no other browser can complete or use it. */
export interface SignInCookie {
  start(request: FastifyRequest, reply: FastifyReply, pending: PendingSignIn): void;
  pending(request: FastifyRequest): PendingSignIn | undefined;
  /** False if the result is too long for a cookie. */
  finish(request: FastifyRequest, reply: FastifyReply, subject: SessionSubject): boolean;
  result(request: FastifyRequest): SignedInResult | undefined;
  clear(request: FastifyRequest, reply: FastifyReply): void;
}

/** @param redirectUrl says whether the browser reaches this instance by TLS, which a callback itself does not */
export function createSignInCookie(
  surface: "console" | "keys",
  redirectUrl: string,
  { seal, nowMs }: SignInCookiePorts,
): SignInCookie {
  // The provider is another site, so its callback would arrive without a strict cookie.
  const cookie: PageCookie = { name: `latchkey-${surface}-sign-in`, sameSite: "Lax" };
  const secure = redirectUrl.startsWith("https:");
  const after = (seconds: number) => Math.floor(nowMs() / 1000) + seconds;
  const open = <T extends { readonly until: number }>(
    request: FastifyRequest,
    purpose: "sign-in" | "signed-in",
    schema: z.ZodType<T>,
  ): T | undefined => {
    const text = seal.open(`${surface}-${purpose}`, pageCookie(request, cookie, secure) ?? "");
    const value = text === undefined ? undefined : schema.safeParse(JSON.parse(text)).data;
    return value !== undefined && nowMs() < value.until * 1000 ? value : undefined;
  };
  return {
    start(request, reply, pending) {
      const text = JSON.stringify({ ...pending, until: after(PENDING_SECONDS) });
      const value = seal.seal(`${surface}-sign-in`, text);
      setPageCookie(request, reply, cookie, { value, maxAgeSeconds: PENDING_SECONDS, secure });
    },
    pending: (request) => open(request, "sign-in", pendingCookie),
    finish(request, reply, subject) {
      const id = randomBytes(16).toString("hex");
      const result = { id, subject, signedInMs: nowMs(), until: after(RESULT_SECONDS) };
      const value = seal.seal(`${surface}-signed-in`, JSON.stringify(result));
      return setPageCookie(request, reply, cookie, { value, maxAgeSeconds: RESULT_SECONDS, secure });
    },
    result: (request) => open(request, "signed-in", resultCookie),
    clear: (request, reply) => clearPageCookie(request, reply, cookie, secure),
  };
}
