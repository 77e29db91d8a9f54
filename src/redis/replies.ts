/** A reply that is a list of texts. Throws on any other reply. */
export function texts(reply: unknown): string[] {
  if (!Array.isArray(reply)) throw new Error("Redis sent a reply that is not a list");
  return reply.map(String);
}

/** A reply that lists names and values alternately. */
export function pairs(reply: unknown): [string, string][] {
  const list = texts(reply);
  const found: [string, string][] = [];
  for (let index = 0; index + 1 < list.length; index += 2)
    found.push([list[index] ?? "", list[index + 1] ?? ""]);
  return found;
}
