import { parseDocument } from "yaml";

/** What is wrong with a body that is no unambiguous JSON. */
export class BodyFault extends Error {}

/**
 * Parses a JSON body strictly. A member that stands twice is refused: parsers differ in which one counts.
 * Throws {@link BodyFault}.
 */
export function parseJsonBody(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BodyFault(text.trim() === "" ? "the body is empty" : "the body is not JSON");
  }
  // JSON.parse keeps the last of two equal members and does not tell; YAML 1.2 contains JSON, and its parser does.
  const duplicate = parseDocument(text, { uniqueKeys: true }).errors.some(
    ({ code }) => code === "DUPLICATE_KEY",
  );
  if (duplicate) throw new BodyFault("a member stands in the body twice");
  return value;
}

/** Parses a form. A field that stands twice is refused. Throws {@link BodyFault}. */
export function parseFormBody(text: string): Record<string, string> {
  const fields = [...new URLSearchParams(text)];
  if (new Set(fields.map(([name]) => name)).size !== fields.length)
    throw new BodyFault("a field stands in the form twice");
  return Object.fromEntries(fields);
}
