import type { CredentialSource } from "../core/decision/credential.ts";
import type { AuthRequest } from "../core/decision/request.ts";

/** What an answer needs beside the decision. */
export interface ResponseContext {
  readonly decisionId: string;
  /** `headers.forward_prefix` of the policy. */
  readonly forwardPrefix: string;
  /** `headers.legacy_ratelimit` of the policy. */
  readonly legacyRateLimit: boolean;
  /** Where a key may come. */
  readonly credentialSources: readonly CredentialSource[];
  /** Undefined when the request could not be read. */
  readonly request: AuthRequest | undefined;
  readonly grpc: boolean;
}
