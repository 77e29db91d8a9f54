/** What an instance must remember between the start of a sign-in and its callback. It never leaves the browser in clear. */
export interface PendingSignIn {
  readonly state: string;
  readonly nonce: string;
  /** The PKCE code verifier (RFC 7636). */
  readonly verifier: string;
}

/** Why a person could not sign in. */
export type SignInFailure =
  /** The provider did not respond in time, or not as a provider does. */
  | "provider_unavailable"
  /** The provider says no, or the person does. */
  | "sign_in_denied"
  /** The callback or the ID token does not belong to this sign-in. */
  | "sign_in_failed";

/** An OpenID Connect provider. No function rejects. */
export interface IdentityProvider {
  /** Starts a sign-in. @param redirectUrl the registered callback */
  begin(
    redirectUrl: string,
  ): Promise<
    | { readonly ok: true; readonly url: string; readonly pending: PendingSignIn }
    | { readonly ok: false; readonly failure: SignInFailure }
  >;
  /**
   * Completes a sign-in, and returns the verified claims.
   * @param callback the registered callback with the query of the call
   * @param suffices whether these claims are enough. If they are not, those of the UserInfo endpoint are added
   */
  complete(
    callback: URL,
    pending: PendingSignIn,
    suffices: (claims: unknown) => boolean,
  ): Promise<
    { readonly ok: true; readonly claims: unknown } | { readonly ok: false; readonly failure: SignInFailure }
  >;
  /**
   * Where a person signs out of the provider itself (OpenID Connect RP-Initiated Logout 1.0). Undefined if the provider has no such
   * page, or does not respond.
   * @param returnUrl the page to which the provider returns, which must be registered there
   */
  signOutUrl(returnUrl: string): Promise<string | undefined>;
}
