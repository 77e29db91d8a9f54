/**
 * The client's address behind a known number of trusted proxies: the n-th entry from the right of
 * `X-Forwarded-For`. With no trusted hop, or too few entries, it is the peer: what is left of the
 * trusted entries is the client's own claim.
 */
export function clientAddress(
  peerAddress: string,
  forwardedFor: readonly string[],
  trustedHops: number,
): string {
  if (trustedHops === 0) return peerAddress;
  const entries = forwardedFor.flatMap((line) => line.split(",")).map((entry) => entry.trim());
  const entry = entries[entries.length - trustedHops];
  return entry === undefined || entry === "" ? peerAddress : withoutPort(entry);
}

/** Some proxies write `1.2.3.4:5678` or `[2001:db8::1]:5678`. */
function withoutPort(entry: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(entry);
  if (bracketed?.[1] !== undefined) return bracketed[1];
  return /^\d+\.\d+\.\d+\.\d+:\d+$/.test(entry) ? entry.slice(0, entry.indexOf(":")) : entry;
}

/** What a limit per address counts: an IPv4 address, or the /64 that one IPv6 customer has at least (RFC 6177). */
export function addressGroup(address: string): string {
  if (!address.includes(":")) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address);
  if (mapped?.[1] !== undefined) return mapped[1];
  const [head = "", tail] = address.toLowerCase().split("%")[0]?.split("::") ?? [];
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - left.length - right.length);
  const groups = [...left, ...Array.from({ length: zeros }, () => "0"), ...right].slice(0, 4);
  return `${groups.map((group) => group.replace(/^0+(?=.)/, "")).join(":")}::/64`;
}
