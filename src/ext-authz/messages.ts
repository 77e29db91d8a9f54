import type { Struct } from "./struct.ts";

/**
 * Envoy ALLOWS a request if the status is missing or its code is 0, whatever else the response contains. So the two responses are two
 * types, and neither can be created without its status.
 */
export type CheckResponse = AllowResponse | DenyResponse;

export interface AllowResponse {
  readonly status: { readonly code: 0 };
  readonly ok_response: OkHttpResponse;
  readonly dynamic_metadata?: Struct;
}

export interface DenyResponse {
  readonly status: { readonly code: DenialCode; readonly message?: string };
  readonly denied_response: DeniedHttpResponse;
  readonly dynamic_metadata?: Struct;
}

/**
 * google.rpc.Code: invalid argument, not found, permission denied, resource exhausted, internal, unavailable,
 * unauthenticated. Never 0.
 */
export type DenialCode = 3 | 5 | 7 | 8 | 13 | 14 | 16;

export interface DeniedHttpResponse {
  readonly status: { readonly code: number };
  readonly headers?: readonly HeaderOption[];
  readonly body?: string;
}

export interface OkHttpResponse {
  /** Set on the request to upstream. */
  readonly headers?: readonly HeaderOption[];
  /** Runs after `headers`: a name in both is removed. */
  readonly headers_to_remove?: readonly string[];
  readonly response_headers_to_add?: readonly HeaderOption[];
  /** Envoy writes the value unescaped. */
  readonly query_parameters_to_set?: readonly { readonly key: string; readonly value: string }[];
  readonly query_parameters_to_remove?: readonly string[];
}

export interface HeaderOption {
  readonly header: { readonly key: string; readonly value: string };
  readonly append?: { readonly value: boolean };
  /** A number of APPEND_ACTION. */
  readonly append_action?: (typeof APPEND_ACTION)[keyof typeof APPEND_ACTION];
}

export const APPEND_ACTION = {
  APPEND_IF_EXISTS_OR_ADD: 0,
  ADD_IF_ABSENT: 1,
  OVERWRITE_IF_EXISTS_OR_ADD: 2,
  OVERWRITE_IF_EXISTS: 3,
} as const;
