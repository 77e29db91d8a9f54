import { CHECK_PATH } from "../../ext-authz/method.ts";
import type { ReferenceCodec } from "../../grpc/reference-codec.ts";
import { SHOULD_RATE_LIMIT_PATH } from "../../ratelimit/method.ts";
import { differingCheckRequest, differingCheckResponse } from "./check-comparison.ts";
import type { AnsweredCall, Comparison } from "./messages.ts";
import { differingRateLimitRequest, differingRateLimitResponse } from "./rate-limit-comparison.ts";

/** Compares one call, whose message both servers have received, with what the other codec reads and writes. */
export type CompareCall = (call: AnsweredCall) => Comparison;

/** How the fields of one method differ: empty if they do not. */
export interface MethodComparison {
  readonly request: (codec: ReferenceCodec, message: Buffer) => readonly string[];
  readonly response: (
    codec: ReferenceCodec,
    response: Buffer,
    expected: AnsweredCall["expected"],
  ) => readonly string[];
}

/** The methods that are compared, by their paths. */
export const COMPARISONS: Readonly<Record<string, MethodComparison>> = {
  [CHECK_PATH]: { request: differingCheckRequest, response: differingCheckResponse },
  [SHOULD_RATE_LIMIT_PATH]: { request: differingRateLimitRequest, response: differingRateLimitResponse },
};

export function createCompareCall(
  codecs: ReadonlyMap<string, ReferenceCodec>,
  comparisons: Readonly<Record<string, MethodComparison>> = COMPARISONS,
): CompareCall {
  return ({ path, message, response, expected }) => {
    const [codec, compared] = [codecs.get(path), comparisons[path]];
    const method = methodOf(path);
    if (codec === undefined || compared === undefined) return { result: "skipped", method, fields: [] };
    try {
      const request = compared.request(codec, Buffer.from(message.buffer));
      if (request.length > 0) return { result: "request_differs", method, fields: request };
      const fields = compared.response(codec, Buffer.from(response.buffer), expected);
      return { result: fields.length > 0 ? "response_differs" : "equal", method, fields };
    } catch {
      // One call must not end the thread.
      return { result: "failed", method, fields: [] };
    }
  };
}

/** The last part of a path: `Check`. */
export function methodOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
