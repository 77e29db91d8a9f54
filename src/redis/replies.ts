/** A reply that is a list of texts. Throws on anything else. */
export function texts(reply: unknown): string[] {
  if (!Array.isArray(reply)) throw new Error("Redis answered something else than a list");
  return reply.map(String);
}

/** A reply that lists names and values in turn. */
export function pairs(reply: unknown): [string, string][] {
  const list = texts(reply);
  const found: [string, string][] = [];
  for (let index = 0; index + 1 < list.length; index += 2)
    found.push([list[index] ?? "", list[index + 1] ?? ""]);
  return found;
}
