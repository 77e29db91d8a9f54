import type { CredentialSource } from "../core/decision/credential.ts";
import type { AuthRequest } from "../core/decision/request.ts";

/** What a response needs in addition to the decision. */
export interface ResponseContext {
  readonly decisionId: string;
  /** `headers.forward_prefix` of the policy. */
  readonly forwardPrefix: string;
  /** `headers.legacy_ratelimit` of the policy. */
  readonly legacyRateLimit: boolean;
  /** Where the policy accepts a key. */
  readonly credentialSources: readonly CredentialSource[];
  /** Undefined if the request is malformed. */
  readonly request: AuthRequest | undefined;
  readonly grpc: boolean;
}
