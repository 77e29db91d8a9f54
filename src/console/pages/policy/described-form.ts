import type { DescribedRequest } from "../../../client/explain-types.ts";

export type DescribedForm =
  | { readonly ok: true; readonly request: DescribedRequest }
  | { readonly ok: false; readonly problem: string };

const OPTIONAL = ["host", "scheme", "address", "certificate"] as const;

/** The request that the form describes. Empty fields are left out. */
export function describedBy(form: FormData, key: string): DescribedForm {
  const text = (name: string) => {
    const value = form.get(name);
    return typeof value === "string" ? value.trim() : "";
  };
  const lines = text("headers")
    .split("\n")
    .filter((line) => line.trim() !== "");
  const wrong = lines.findIndex((line) => line.indexOf(":") < 1);
  if (wrong !== -1) return { ok: false, problem: `Line ${wrong + 1} must be name: value` };
  const given = OPTIONAL.flatMap((name) => (text(name) === "" ? [] : [[name, text(name)] as const]));
  return {
    ok: true,
    request: {
      method: text("method"),
      path: text("path"),
      ...Object.fromEntries(given),
      ...(lines.length > 0 && { headers: headersOf(lines) }),
      ...(key !== "" && { key }),
      ...(key !== "" && text("in") !== "" && { in: text("in") }),
    },
  };
}

/** A header that stands in several lines has all of their values. */
function headersOf(lines: readonly string[]): Readonly<Record<string, readonly string[]>> {
  const headers = new Map<string, string[]>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).trim().toLowerCase();
    headers.set(name, [...(headers.get(name) ?? []), line.slice(colon + 1).trim()]);
  }
  return Object.fromEntries(headers);
}
