import type { LineCounter } from "yaml";
import { isMap, isPair, isScalar } from "yaml";

/** The line of the deepest existing part of the path. */
export function lineOfPath(root: unknown, path: readonly PropertyKey[], lines: LineCounter): number {
  let offset = 0;
  let node: unknown = root;
  for (const part of path) {
    const next = childNode(node, part);
    if (next === undefined) break;
    offset = next.offset ?? offset;
    node = next.node;
  }
  return Math.max(1, lines.linePos(offset).line);
}

function childNode(
  node: unknown,
  part: PropertyKey,
): { node: unknown; offset: number | undefined } | undefined {
  if (isMap(node)) {
    const pair = node.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === part);
    return pair && { node: pair.value, offset: isScalar(pair.key) ? pair.key.range?.[0] : undefined };
  }
  if (
    typeof part === "number" &&
    typeof node === "object" &&
    node !== null &&
    "items" in node &&
    Array.isArray(node.items)
  ) {
    const item: unknown = node.items[part];
    const range =
      typeof item === "object" && item !== null && "range" in item && Array.isArray(item.range)
        ? Number(item.range[0])
        : undefined;
    return item === undefined ? undefined : { node: item, offset: range };
  }
  return undefined;
}
