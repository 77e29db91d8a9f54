import { TLSSocket } from "node:tls";
import type { FastifyReply, FastifyRequest } from "fastify";
import { cookieValues } from "../../core/decision/cookies.ts";
import { headersOf } from "../http/request-facts.ts";
import { isSecure } from "./own-pages.ts";

/** A browser accepts this name only with `Secure`, with `Path=/`, and from this very host (RFC 6265bis §4.1.3.2). */
export const SECURE_COOKIE = "__Host-latchkey-console";

/** Browsers drop longer cookies (RFC 6265 §6.1). */
const MAX_COOKIE_BYTES = 4096;

/** False if the value is too long for a cookie. Then nothing is set. */
export function setSessionCookie(
  request: FastifyRequest,
  reply: FastifyReply,
  value: string,
  maxAgeSeconds: number,
): boolean {
  const secure = isSecure(request);
  const name = secure ? SECURE_COOKIE : clearTextName(request);
  if (name.length + value.length + 1 > MAX_COOKIE_BYTES) return false;
  const attributes = `Path=/; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Strict${secure ? "; Secure" : ""}`;
  void reply.header("set-cookie", `${name}=${value}; ${attributes}`);
  return true;
}

export function clearSessionCookie(request: FastifyRequest, reply: FastifyReply): void {
  setSessionCookie(request, reply, "", 0);
}

/** The value of the session's cookie. Undefined without one, and if there are several, of which another site may have set one. */
export function sessionCookie(request: FastifyRequest): string | undefined {
  const names =
    request.raw.socket instanceof TLSSocket ? [SECURE_COOKIE] : [SECURE_COOKIE, clearTextName(request)];
  const headers = headersOf(request);
  for (const name of names) {
    const values = cookieValues({ headers }, name, { unreadable: "", max: 2 });
    if (values.length > 0) return values.length === 1 && values[0] !== "" ? values[0] : undefined;
  }
  return undefined;
}

/** Cookies do not separate the ports of a host. The name does, so that two consoles on one machine do not sign each other out. */
function clearTextName({ headers }: FastifyRequest): string {
  const port = /:(\d{1,5})$/.exec(headers.host ?? "")?.[1] ?? "80";
  return `latchkey-console-${port}`;
}
