import { isUtf8 } from "node:buffer";

/** Thrown for a body that is not unambiguous JSON or form data. The message names the error. */
export class InvalidBody extends Error {}

/** Deeper bodies are rejected, so that no code has to recurse through them. */
const MAX_DEPTH = 64;

/** Decodes a body. Rejects invalid UTF-8 instead of repairing it. Throws {@link InvalidBody}. */
export function decodeBody(bytes: Uint8Array): string {
  if (!isUtf8(bytes)) throw new InvalidBody("the body is not valid UTF-8");
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("utf8");
}

/** Parses a JSON body as {@link parseStrictJson} does. Throws {@link InvalidBody}. */
export function parseJsonBody(text: string): unknown {
  const parsed = parseStrictJson(text);
  if (parsed.ok) return parsed.value;
  throw new InvalidBody(text.trim() === "" ? "the body is empty" : `the body ${parsed.fault}`);
}

export type StrictJson =
  | { readonly ok: true; readonly value: unknown }
  | { readonly ok: false; readonly fault: "is not JSON" | "has a member twice" | "nests too deeply" };

/** Parses JSON strictly. Rejects duplicate members, because parsers differ in which of them they use. */
export function parseStrictJson(text: string): StrictJson {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { ok: false, fault: "is not JSON" };
  }
  const fault = structureFault(text);
  return fault === undefined ? { ok: true, value } : { ok: false, fault };
}

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],]/g;

/** JSON.parse silently keeps the last duplicate. The text is valid JSON, so scanning its tokens is enough. */
function structureFault(json: string): "has a member twice" | "nests too deeply" | undefined {
  const open: (Set<unknown> | undefined)[] = [];
  let nameIsNext = false;
  for (const [token] of json.matchAll(TOKEN)) {
    if (token === "{" || token === "[") {
      open.push(token === "{" ? new Set() : undefined);
      if (open.length > MAX_DEPTH) return "nests too deeply";
    } else if (token === "}" || token === "]") {
      open.pop();
    } else if (nameIsNext) {
      const names = open.at(-1);
      const name: unknown = JSON.parse(token);
      if (names?.has(name)) return "has a member twice";
      names?.add(name);
    }
    nameIsNext = token === "{" || (token === "," && open.at(-1) !== undefined);
  }
  return undefined;
}

/** Parses a form or a query. Rejects duplicate fields and invalid encodings. Throws {@link InvalidBody}. */
export function parseForm(text: string): Record<string, string> {
  const fields = text
    .split("&")
    .filter((field) => field !== "")
    .map((field) => {
      const [name = "", ...value] = field.split("=");
      return [decodeField(name), decodeField(value.join("="))] as const;
    });
  if (new Set(fields.map(([name]) => name)).size !== fields.length)
    throw new InvalidBody("a field occurs twice");
  return Object.fromEntries(fields);
}

/** Parsers differ in what an incomplete `%` escape or invalid UTF-8 means, so both are rejected. */
function decodeField(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw new InvalidBody("a field is not valid percent-encoded UTF-8");
  }
}
