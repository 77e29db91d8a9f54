import type { Endpoint } from "./endpoint.ts";

/**
 * The methods that a URL's path has, for `Allow` (RFC 9110 §10.2.1); none where the path is not known. Paths are compared
 * as they are written: one in another spelling, which a method would find, is not known here.
 */
export function allowedMethods(
  endpoints: readonly Pick<Endpoint, "method" | "path">[],
): (url: string) => readonly string[] {
  const paths = new Map<string, Set<string>>();
  for (const { method, path } of endpoints) {
    const methods = paths.get(path) ?? new Set();
    methods.add(method);
    // What can be read can be asked about.
    if (method === "GET") methods.add("HEAD");
    paths.set(path, methods);
  }
  const known = [...paths].map(([path, methods]) => ({ pattern: patternOf(path), methods: [...methods] }));
  return (url) => {
    const path = url.replace(/[?#].*$/s, "");
    return [...new Set(known.filter(({ pattern }) => pattern.test(path)).flatMap(({ methods }) => methods))];
  };
}

function patternOf(path: string): RegExp {
  const segments = path
    .split("/")
    .map((segment) =>
      /^\{\w+\}$/.test(segment) ? "[^/]+" : segment.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"),
    );
  return new RegExp(`^${segments.join("/")}/?$`);
}
