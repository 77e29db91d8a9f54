import { isUtf8 } from "node:buffer";

/** What is wrong with a body that is no unambiguous JSON. */
export class InvalidBody extends Error {}

/** No body of the API nests deeper than metadata in a registration; what does is not handed on to be walked. */
const MAX_DEPTH = 64;

/** The text of a body. Bytes that are no UTF-8 are refused, not repaired. Throws {@link InvalidBody}. */
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

/** Parses JSON strictly: a member that stands twice is refused, since parsers differ in which one counts. */
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

/** JSON.parse keeps the last of two equal members and does not tell. The text is known to be JSON, so its marks are enough. */
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

/** Parses a form, or a query. A field that stands twice, and what cannot be decoded, is refused. Throws {@link InvalidBody}. */
export function parseForm(text: string): Record<string, string> {
  const fields = text
    .split("&")
    .filter((field) => field !== "")
    .map((field) => {
      const [name = "", ...value] = field.split("=");
      return [decodeField(name), decodeField(value.join("="))] as const;
    });
  if (new Set(fields.map(([name]) => name)).size !== fields.length)
    throw new InvalidBody("a field stands there twice");
  return Object.fromEntries(fields);
}

/** A `%` that two hexadecimal digits do not follow, and bytes that are no UTF-8, mean something else to each parser. */
function decodeField(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    throw new InvalidBody("a field is not valid percent-encoded UTF-8");
  }
}
