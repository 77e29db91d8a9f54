import { hash } from "node:crypto";
import { TLSSocket } from "node:tls";
import type { FastifyRequest } from "fastify";
import { clientAddress } from "../../core/decision/client-address.ts";
import { headerLines } from "../../core/decision/request.ts";

/** The client's address, determined with `HTTP_TRUSTED_HOPS`. */
export function addressOf(request: FastifyRequest, ports: { readonly trustedHops: number }): string {
  const forwarded = headerLines({ headers: headersOf(request) }, "x-forwarded-for");
  return clientAddress(request.raw.socket.remoteAddress ?? "", forwarded, ports.trustedHops);
}

/** `x5t#S256` of the client certificate. The listener accepts only certificates of `HTTP_TLS_CLIENT_CA`. */
export function certificateOf({ raw: { socket } }: FastifyRequest): string | undefined {
  const certificate = socket instanceof TLSSocket ? socket.getPeerX509Certificate() : undefined;
  return certificate && hash("sha256", certificate.raw, "base64url");
}

/** Every line of every header. For some headers, `request.headers` has only the first line. */
export function headersOf(request: FastifyRequest): ReadonlyMap<string, readonly string[]> {
  return new Map(Object.entries(request.raw.headersDistinct).map(([name, lines]) => [name, lines ?? []]));
}
