import { Notice } from "./notice.tsx";

/** After a sign-out: the provider still has a session, with which anyone at this browser signs in again. */
export function ProviderSignOut({ url }: { readonly url: string }) {
  return (
    <Notice tone="neutral">
      You have signed out here. Your sign-in service may keep you signed in.{" "}
      <a href={url} rel="noreferrer">
        Sign out there too
      </a>
    </Notice>
  );
}
