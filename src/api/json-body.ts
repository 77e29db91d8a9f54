/** What is wrong with a body that is no unambiguous JSON. */
export class BodyFault extends Error {}

/** No body of the API nests deeper than metadata in a registration; what does is not handed on to be walked. */
const MAX_DEPTH = 64;

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
  refuseRepeatedMembers(text);
  return value;
}

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],]/g;

/** JSON.parse keeps the last of two equal members and does not tell. The text is known to be JSON, so its marks are enough. */
function refuseRepeatedMembers(json: string): void {
  const open: (Set<unknown> | undefined)[] = [];
  let nameIsNext = false;
  for (const [token] of json.matchAll(TOKEN)) {
    if (token === "{" || token === "[") {
      open.push(token === "{" ? new Set() : undefined);
      if (open.length > MAX_DEPTH) throw new BodyFault("the body nests too deeply");
    } else if (token === "}" || token === "]") {
      open.pop();
    } else if (nameIsNext) {
      const names = open.at(-1);
      const name: unknown = JSON.parse(token);
      if (names?.has(name)) throw new BodyFault("a member stands in the body twice");
      names?.add(name);
    }
    nameIsNext = token === "{" || (token === "," && open.at(-1) !== undefined);
  }
}

/** Parses a form. A field that stands twice is refused. Throws {@link BodyFault}. */
export function parseFormBody(text: string): Record<string, string> {
  const fields = [...new URLSearchParams(text)];
  if (new Set(fields.map(([name]) => name)).size !== fields.length)
    throw new BodyFault("a field stands in the form twice");
  return Object.fromEntries(fields);
}
