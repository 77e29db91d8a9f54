import { trimOws } from "../field-text.ts";
import { formatAddress, formatNetwork, parseAddress } from "../keys/ip-network.ts";

/**
 * The client's address behind a known number of trusted proxies: the n-th entry from the right of `X-Forwarded-For`. Without
 * trusted proxies, or with too few entries, it is the peer. The entries further left are claims of the client.
 */
export function clientAddress(
  peerAddress: string,
  forwardedFor: readonly string[],
  trustedHops: number,
): string {
  if (trustedHops === 0) return peerAddress;
  const entry = entryFromRight(forwardedFor, trustedHops);
  return entry === undefined || entry === "" ? peerAddress : withoutPort(entry);
}

/** The n-th entry from the right. Entries further left are not parsed, because a client can send one for each byte. */
function entryFromRight(lines: readonly string[], n: number): string | undefined {
  let left = n;
  for (const line of lines.toReversed()) {
    for (let to = line.length; to >= 0; ) {
      const from = to === 0 ? 0 : line.lastIndexOf(",", to - 1) + 1;
      if (--left === 0) return trimOws(line.slice(from, to));
      to = from - 1;
    }
  }
  return undefined;
}

/** Some proxies write `1.2.3.4:5678` or `[2001:db8::1]:5678`. */
function withoutPort(entry: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(entry);
  if (bracketed?.[1] !== undefined) return bracketed[1];
  return /^\d+\.\d+\.\d+\.\d+:\d+$/.test(entry) ? entry.slice(0, entry.indexOf(":")) : entry;
}

/** The networks in which a client can choose its address: its group, and for IPv6 the /48 of a site (RFC 6177). */
export function addressNetworks(text: string): readonly string[] {
  const address = parseAddress(text);
  if (address?.version !== 6) return [addressGroup(text)];
  const site = formatNetwork({ version: 6, bits: (address.bits >> 80n) << 80n, prefix: 48 });
  return [addressGroup(text), site];
}

/** The subject of a limit per address: an IPv4 address, or the /64 that every IPv6 customer has at least (RFC 6177). */
export function addressGroup(text: string): string {
  if (!text.includes(":")) return text;
  const address = parseAddress(text);
  if (address === undefined) return text;
  if (address.version === 4) return formatAddress(address);
  return formatNetwork({ version: 6, bits: (address.bits >> 64n) << 64n, prefix: 64 });
}
