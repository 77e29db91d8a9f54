/** An IP address as a number: 32 bits for IPv4, 128 for IPv6. IPv4-mapped IPv6 (`::ffff:192.0.2.1`) is IPv4. */
export interface IpAddress {
  readonly version: 4 | 6;
  readonly bits: bigint;
}

/** All addresses that start with the same bits. */
export interface IpNetwork extends IpAddress {
  /** The number of these bits, from 0. */
  readonly prefix: number;
}

const WIDTH = { 4: 32, 6: 128 } as const;
/** The first 96 bits of an IPv4-mapped address (RFC 4291 §2.5.5.2). */
const MAPPED = 0xffffn;

/** Parses an address and ignores a zone (`%eth0`). Undefined for any other text, such as `010.1.1.1`. */
export function parseAddress(text: string): IpAddress | undefined {
  const v4 = parseV4(text);
  if (v4 !== undefined) return { version: 4, bits: v4 };
  const bits = parseV6(text.split("%", 1)[0] ?? "");
  if (bits === undefined) return undefined;
  return bits >> 32n === MAPPED ? { version: 4, bits: bits & 0xffff_ffffn } : { version: 6, bits };
}

function parseV4(text: string): bigint | undefined {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(?:0|[1-9]\d{0,2})$/.test(part))) return undefined;
  const numbers = parts.map(Number);
  return numbers.every((number) => number < 256) ? joinBits(numbers, 8n) : undefined;
}

/** RFC 4291 §2.2: eight groups. `::` can replace a run of zeros, and an IPv4 address can replace the last two groups. */
function parseV6(text: string): bigint | undefined {
  const lastColon = text.lastIndexOf(":");
  const v4 = parseV4(text.slice(lastColon + 1));
  const expanded =
    v4 === undefined
      ? text
      : `${text.slice(0, lastColon + 1)}${(v4 >> 16n).toString(16)}:${(v4 & 0xffffn).toString(16)}`;
  const halves = expanded.split("::").map((half) => (half === "" ? [] : half.split(":")));
  const [head = [], tail] = halves;
  const groupCount = head.length + (tail?.length ?? 0);
  if (halves.length > 2 || (tail === undefined ? groupCount !== 8 : groupCount > 7)) return undefined;
  const groups = [...head, ...Array.from({ length: 8 - groupCount }, () => "0"), ...(tail ?? [])];
  if (!groups.every((group) => /^[0-9a-fA-F]{1,4}$/.test(group))) return undefined;
  return joinBits(
    groups.map((group) => Number.parseInt(group, 16)),
    16n,
  );
}

function joinBits(numbers: readonly number[], width: bigint): bigint {
  return numbers.reduce((bits, number) => (bits << width) | BigInt(number), 0n);
}

/** The canonical form: RFC 5952 for IPv6. */
export function formatAddress({ version, bits }: IpAddress): string {
  if (version === 4) return splitBits(bits, 4, 8n).join(".");
  const groups = splitBits(bits, 8, 16n).map((group) => group.toString(16));
  const { start, length } = longestZeros(groups);
  if (length < 2) return groups.join(":");
  return `${groups.slice(0, start).join(":")}::${groups.slice(start + length).join(":")}`;
}

function splitBits(bits: bigint, count: number, width: bigint): readonly number[] {
  return Array.from({ length: count }, (_, index) =>
    Number((bits >> (width * BigInt(count - 1 - index))) & ((1n << width) - 1n)),
  );
}

/** The first of the longest runs of zero groups. RFC 5952 §4.2.3 shortens it. */
function longestZeros(groups: readonly string[]): { readonly start: number; readonly length: number } {
  let longest = { start: 0, length: 0 };
  let length = 0;
  groups.forEach((group, index) => {
    length = group === "0" ? length + 1 : 0;
    if (length > longest.length) longest = { start: index - length + 1, length };
  });
  return longest;
}

/**
 * Parses a network in its canonical CIDR form: no bits beyond the prefix, IPv6 in the form of RFC 5952, IPv4 never as IPv6.
 * Undefined for any other form, which is probably a mistake.
 */
export function parseNetwork(text: string): IpNetwork | undefined {
  const network = readNetwork(text);
  return network !== undefined && formatNetwork(network) === text ? network : undefined;
}

/** The form that {@link parseNetwork} accepts. Undefined if the text is not a network. */
export function canonicalNetwork(text: string): string | undefined {
  const network = readNetwork(text);
  return network && formatNetwork(network);
}

function readNetwork(text: string): IpNetwork | undefined {
  const [, name = "", digits = ""] = /^([0-9a-fA-F.:]+)\/(\d{1,3})$/.exec(text) ?? [];
  const address = parseAddress(name);
  if (address === undefined) return undefined;
  // ::ffff:10.0.0.0/104 is 10.0.0.0/8.
  const written = Number(digits) - (address.version === 4 && name.includes(":") ? 96 : 0);
  const width = WIDTH[address.version];
  if (written < 0 || written > width) return undefined;
  const beyond = BigInt(width - written);
  return { version: address.version, bits: (address.bits >> beyond) << beyond, prefix: written };
}

export function formatNetwork(network: IpNetwork): string {
  return `${formatAddress(network)}/${network.prefix}`;
}

export function contains(network: IpNetwork, address: IpAddress): boolean {
  const beyond = BigInt(WIDTH[network.version] - network.prefix);
  return network.version === address.version && network.bits >> beyond === address.bits >> beyond;
}
