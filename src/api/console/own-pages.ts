import { TLSSocket } from "node:tls";
import type { FastifyRequest } from "fastify";

const READS: readonly string[] = ["GET", "HEAD"];

/**
 * Whether a page of this very origin made the call, as far as the browser says (Fetch §3.2 and Fetch Metadata). A call that
 * changes something must name its origin.
 */
export function isFromOwnPage({ method, headers, raw }: FastifyRequest): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin") return false;
  const { origin, host } = headers;
  if (origin === undefined) return READS.includes(method);
  const url = URL.canParse(origin) ? new URL(origin) : undefined;
  if (url === undefined || host === undefined || url.host !== host.toLowerCase()) return false;
  return url.protocol === "https:" || (url.protocol === "http:" && !(raw.socket instanceof TLSSocket));
}

/** Whether the browser reaches the console by TLS, also if a proxy in front ends it. */
export function isSecure({ headers, raw }: FastifyRequest): boolean {
  return raw.socket instanceof TLSSocket || headers.origin?.startsWith("https://") === true;
}
