import { TLSSocket } from "node:tls";
import type { FastifyReply, FastifyRequest } from "fastify";
import { cookieValues } from "../../core/decision/cookies.ts";
import { headersOf } from "../http/request-facts.ts";
import { isSecure } from "./own-pages.ts";

/** A cookie of our pages, which scripts cannot read. */
export interface PageCookie {
  readonly name: string;
  /** `Lax` only for a cookie that must arrive when another site leads back to ours. */
  readonly sameSite: "Strict" | "Lax";
}

export const CONSOLE_COOKIE: PageCookie = { name: "latchkey-console", sameSite: "Strict" };

/** A browser accepts this name only with `Secure`, with `Path=/`, and from this very host (RFC 6265bis §4.1.3.2). */
export const SECURE_COOKIE = secureName(CONSOLE_COOKIE);

/** Browsers drop longer cookies (RFC 6265 §6.1). */
const MAX_COOKIE_BYTES = 4096;

export interface CookieValue {
  readonly value: string;
  readonly maxAgeSeconds: number;
  /** Whether the browser reaches this instance by TLS, if the caller knows it better than the request. */
  readonly secure?: boolean;
}

/** False if the value is too long for a cookie. Then nothing is set. */
export function setPageCookie(
  request: FastifyRequest,
  reply: FastifyReply,
  cookie: PageCookie,
  { value, maxAgeSeconds, secure = isSecure(request) }: CookieValue,
): boolean {
  const name = secure ? secureName(cookie) : clearTextName(cookie, request);
  if (name.length + value.length + 1 > MAX_COOKIE_BYTES) return false;
  const attributes = `Path=/; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=${cookie.sameSite}${secure ? "; Secure" : ""}`;
  // A second cookie of the same reply is added to the first one.
  void reply.header("set-cookie", `${name}=${value}; ${attributes}`);
  return true;
}

/** @param secure whether the browser reaches this instance by TLS */
export function clearPageCookie(
  request: FastifyRequest,
  reply: FastifyReply,
  cookie: PageCookie,
  secure = isSecure(request),
): void {
  setPageCookie(request, reply, cookie, { value: "", maxAgeSeconds: 0, secure });
}

/**
 * The value of a cookie. Undefined without one, and if there are several, of which another site may have set one.
 * @param secure whether the browser reaches this instance by TLS. Then only the name counts that no other host can set
 */
export function pageCookie(
  request: FastifyRequest,
  cookie: PageCookie,
  secure = request.raw.socket instanceof TLSSocket,
): string | undefined {
  const names = [secureName(cookie), ...(secure ? [] : [clearTextName(cookie, request)])];
  const headers = headersOf(request);
  for (const name of names) {
    const values = cookieValues({ headers }, name, { unreadable: "", max: 2 });
    if (values.length > 0) return values.length === 1 && values[0] !== "" ? values[0] : undefined;
  }
  return undefined;
}

export function secureName({ name }: PageCookie): string {
  return `__Host-${name}`;
}

/** Cookies do not separate the ports of a host. The name does, so that two consoles on one machine do not sign each other out. */
function clearTextName({ name }: PageCookie, { headers }: FastifyRequest): string {
  const port = /:(\d{1,5})$/.exec(headers.host ?? "")?.[1] ?? "80";
  return `${name}-${port}`;
}
