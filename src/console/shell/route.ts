import { useEffect, useState } from "preact/hooks";

/** The place in the console that the fragment of the URL names: `#/keys/basic_1?tab=usage`. */
export interface Route {
  /** Decoded segments: `["keys", "basic_1"]`. */
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
}

export function parseRoute(fragment: string): Route {
  const [path = "", query = ""] = fragment.replace(/^#/, "").split("?", 2);
  const segments = path.split("/").filter((segment) => segment !== "");
  return { segments: segments.map(decode), query: new URLSearchParams(query) };
}

/** The `href` of a place. Members of the query without a value are left out. */
export function hrefOf(
  segments: readonly string[],
  query: Readonly<Record<string, string | undefined>> = {},
): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => (entry[1] ?? "") !== "");
  const search = new URLSearchParams(given).toString();
  // A name from the API may have a lone surrogate, which a URI cannot contain.
  const encoded = segments.map((segment) => encodeURIComponent(segment.toWellFormed()));
  return `#/${encoded.join("/")}${search === "" ? "" : `?${search}`}`;
}

/** Goes to a place. With `replace` the browser's Back button skips the present one. */
export function goTo(href: string, { replace = false }: { readonly replace?: boolean } = {}): void {
  if (replace) location.replace(href);
  else location.hash = href;
}

export function useRoute(): Route {
  const [fragment, setFragment] = useState(location.hash);
  useEffect(() => {
    const onChange = () => setFragment(location.hash);
    addEventListener("hashchange", onChange);
    return () => removeEventListener("hashchange", onChange);
  }, []);
  return parseRoute(fragment);
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}
