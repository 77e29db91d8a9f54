/** A reply that is a list of texts. Throws on any other reply. */
export function texts(reply: unknown): string[] {
  return listIn(reply).map(String);
}

/** A reply that lists names and values alternately. */
export function pairs(reply: unknown): [string, string][] {
  const list = listIn(reply);
  const found: [string, string][] = [];
  for (let index = 0; index + 1 < list.length; index += 2)
    found.push([String(list[index]), String(list[index + 1])]);
  return found;
}

function listIn(reply: unknown): readonly unknown[] {
  if (!Array.isArray(reply)) throw new Error("Redis sent a reply that is not a list");
  return reply;
}
