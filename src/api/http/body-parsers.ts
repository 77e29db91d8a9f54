import type { FastifyInstance, FastifyRequest } from "fastify";
import { asciiLowerCase, trimOws } from "../../core/field-text.ts";
import type { Endpoint } from "./endpoint.ts";
import { decodeBody, parseForm, parseJsonBody } from "./json-body.ts";

/** No other call needs more: the largest is a registration with 512 bytes of metadata. */
export const MAX_BODY_BYTES = 16 * 1024;
/** Clients send longer imports in several calls. */
const MAX_LINES_BYTES = 8 * 1024 * 1024;

const JSON_TYPE = "application/json";
const LINES_TYPE = "application/x-ndjson";

/** Replaces the parsers of Fastify, which repair what they cannot decode, with strict parsers. */
export function addBodyParsers(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  const parsers = {
    [JSON_TYPE]: parseJsonBody,
    "application/x-www-form-urlencoded": parseForm,
    [LINES_TYPE]: (text: string) => text,
  };
  for (const [type, parse] of Object.entries(parsers)) {
    server.addContentTypeParser(type, { parseAs: "buffer" }, (request, body, done) => {
      try {
        const text = decodeBody(Buffer.from(body));
        done(null, request.routeOptions.config.receivesText ? text : parse(text));
      } catch (error) {
        done(error instanceof Error ? error : new Error(String(error)));
      }
    });
  }
}

/** The maximum size of the body of a call. */
export function bodyLimitOf({ bodyType, maxBodyBytes }: Endpoint): number {
  return maxBodyBytes ?? (bodyType === LINES_TYPE ? MAX_LINES_BYTES : MAX_BODY_BYTES);
}

/** Whether the body has a media type that the call does not accept. A call without a body accepts any. */
export function isUnsupportedType({ headers }: FastifyRequest, { body, bodyType }: Endpoint): boolean {
  const [type] = headers["content-type"]?.split(";", 1).map(trimOws).map(asciiLowerCase) ?? [];
  return body !== undefined && type !== undefined && type !== (bodyType ?? JSON_TYPE);
}
