import type { FastifyReply } from "fastify";
import type { Principal } from "../../core/decision/principal.ts";
import { legacyNotice } from "../../core/legacy/migration.ts";
import type { ApiPorts } from "../http/calls.ts";

/** What an answer to a V1 key says of its future (RFC 9745, RFC 8594). */
export function addNotice(reply: FastifyReply, principal: Principal, ports: ApiPorts): FastifyReply {
  const notice = legacyNotice(principal, ports.migration.state(), ports.policy().migration);
  if (notice === undefined) return reply;
  const { deprecatedAt, sunset } = notice;
  void reply
    .header("x-latchkey-upgrade", "v2")
    .header("link", '</api/auth/v2/migrate>; rel="successor-version"');
  if (deprecatedAt !== undefined) void reply.header("deprecation", `@${deprecatedAt}`);
  if (sunset !== undefined) void reply.header("sunset", new Date(sunset * 1000).toUTCString());
  return reply;
}
