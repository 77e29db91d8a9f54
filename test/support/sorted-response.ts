import { decodeCheckResponse } from "../../scripts/protobuf.ts";

/** A response as text with sorted lists, because one from cached fragments has another order. */
export function sortedResponse(bytes: Uint8Array): string {
  const order = (item: unknown): unknown => {
    if (Array.isArray(item)) return item.map((part) => JSON.stringify(order(part))).sort();
    if (item === null || typeof item !== "object" || Buffer.isBuffer(item)) return item;
    const members = Object.entries(item).sort(([one], [other]) => (one < other ? -1 : 1));
    return Object.fromEntries(members.map(([key, value]) => [key, order(value)]));
  };
  return JSON.stringify(order(decodeCheckResponse(bytes)));
}
