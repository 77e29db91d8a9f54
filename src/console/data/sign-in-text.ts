/** Why a sign-in by OpenID Connect has failed, by the reason in the fragment of the URL. */
const SENTENCES: Readonly<Record<string, string>> = {
  provider_unavailable: "The sign-in service does not respond. Try again in a moment.",
  sign_in_denied: "The sign-in was cancelled, or the sign-in service denied it.",
  sign_in_failed: "The sign-in did not succeed. Try again.",
  sign_in_expired: "The sign-in took too long, or was started in another browser. Try again.",
  subject_missing: "The sign-in service did not say who you are. Ask the operator of this service.",
  not_an_operator: "You have signed in, but the policy makes you no operator.",
  holders_not_mapped: "The policy does not let holders of keys sign in.",
  owner_missing: "Your account lacks what names the owner of your keys. Ask the operator of this service.",
  owner_unverified:
    "Your email address is not verified. Verify it with the sign-in service, and sign in again.",
  owner_not_accepted: "Your account's name cannot own keys. Ask the operator of this service.",
};

/** A sign-in by OpenID Connect that did not succeed. The message is a sentence for the person. */
export class SignInRejected extends Error {
  override readonly name = "SignInRejected";
}

/** What the fragment says about a sign-in. It leaves the URL and the history. */
export function takeSignInResult(): "signed-in" | { readonly because: string } | undefined {
  const [, why] = /^#(?:signed-in|sign-in=(\w{1,40}))$/.exec(location.hash) ?? [location.hash];
  const isSignedIn = location.hash === "#signed-in";
  if (!isSignedIn && why === undefined) return undefined;
  history.replaceState(null, "", location.pathname);
  if (isSignedIn) return "signed-in";
  return {
    because:
      (Object.hasOwn(SENTENCES, why ?? "") && SENTENCES[why ?? ""]) ||
      "The sign-in did not succeed. Try again.",
  };
}

/** Whether the server offers the sign-in by OpenID Connect. */
export function offersOidc(): boolean {
  return document.querySelector('meta[name="latchkey-sign-in"]') !== null;
}
