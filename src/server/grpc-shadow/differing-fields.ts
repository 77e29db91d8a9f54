import { isDeepStrictEqual } from "node:util";

/** Names of the members that differ. Both objects need not have the same members. */
export function differingFields(one: object, other: object): readonly string[] {
  const [a, b] = [new Map(Object.entries(one)), new Map(Object.entries(other))];
  const names = new Set([...a.keys(), ...b.keys()]);
  return [...names].filter((name) => !isDeepStrictEqual(a.get(name), b.get(name)));
}

/** What a decoder reads, or undefined for a message that it rejects. */
export function tryDecode<Decoded>(
  decode: (message: Buffer) => Decoded,
  message: Buffer,
): Decoded | undefined {
  try {
    return decode(message);
  } catch {
    return undefined;
  }
}

/** The fields that two decoders read differently. A message that only one of them rejects differs as a whole. */
export function differingRequest(one: object | undefined, other: object | undefined): readonly string[] {
  if (one !== undefined && other !== undefined) return differingFields(one, other);
  return one === other ? [] : ["message"];
}
