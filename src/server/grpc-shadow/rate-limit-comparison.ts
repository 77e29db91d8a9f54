import { z } from "zod";
import type { ReferenceCodec } from "../../grpc/reference-codec.ts";
import type { RateLimitRequest } from "../../ratelimit/request-decoder.ts";
import { decodeRateLimitRequest, MAX_DESCRIPTORS, MAX_ENTRIES } from "../../ratelimit/request-decoder.ts";
import { CODES } from "../../ratelimit/response-encoder.ts";
import { differingRequest, tryDecode } from "./differing-fields.ts";

const entry = z.object({ key: z.string(), value: z.string() });
const rateLimitRequest = z.object({
  domain: z.string(),
  descriptors: z.array(
    z.object({
      entries: z.array(entry),
      hits_addend: z.object({ value: z.string() }).nullish(),
      is_negative_hits: z.boolean(),
    }),
  ),
  hits_addend: z.number(),
});

/** Names of the fields of a RateLimitRequest that our decoder does not read as the other one does. */
export function differingRateLimitRequest(codec: ReferenceCodec, message: Buffer): readonly string[] {
  const theirs = tryDecode((bytes) => readByReference(codec.decodeRequest(bytes)), message);
  // Our decoder has limits, beyond which it rejects the message.
  const isBeyondLimits =
    theirs !== undefined &&
    (theirs.descriptors.length > MAX_DESCRIPTORS ||
      theirs.descriptors.some(({ entries }) => entries.length > MAX_ENTRIES));
  const ours = tryDecode(decodeRateLimitRequest, message);
  return differingRequest(ours, isBeyondLimits ? undefined : theirs);
}

function readByReference(decoded: object): RateLimitRequest {
  const { domain, descriptors, hits_addend } = rateLimitRequest.parse(decoded);
  return {
    domain,
    descriptors: descriptors.map(({ entries, hits_addend: hits, is_negative_hits }) => ({
      entries,
      hits: hits == null ? undefined : Math.min(Number(hits.value), Number.MAX_SAFE_INTEGER),
      isRefund: is_negative_hits,
    })),
    hits: hits_addend,
  };
}

const rateLimitResponse = z.object({ overall_code: z.literal(Object.values(CODES)) });

/** `message` if the other decoder does not read one of the two codes in our bytes. */
export function differingRateLimitResponse(codec: ReferenceCodec, response: Buffer): readonly string[] {
  const decoded = tryDecode(codec.decodeResponse, response);
  return rateLimitResponse.safeParse(decoded).success ? [] : ["message"];
}
