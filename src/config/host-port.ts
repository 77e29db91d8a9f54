import { isIP } from "node:net";

export interface HostPort {
  /** A host name or an IP address. An IPv6 address has no brackets. */
  readonly host: string;
  readonly port: number;
}

/** Whether the text is a host name or an IP address and nothing else. A connection to anything else could never be made. */
export function isHost(text: string): boolean {
  return isIP(text) !== 0 || /^[\w-]{1,63}(?:\.[\w-]{1,63})*\.?$/.test(text);
}

/** Parses `HOST:PORT`, with an IPv6 address in brackets. The port is required unless there is a default. */
export function parseHostPort(text: string, defaultPort?: number): HostPort | undefined {
  const [, v6, name, digits] = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+))(?::(\d{1,5}))?$/.exec(text) ?? [];
  const host = v6 ?? name;
  const port = digits === undefined ? defaultPort : Number(digits);
  if (host === undefined || !isHost(host) || (v6 !== undefined && isIP(v6) !== 6)) return undefined;
  return port === undefined || port < 1 || port > 65_535 ? undefined : { host, port };
}

/** Parses a comma-separated list. Undefined if one item is malformed or occurs twice. */
export function parseHostPorts(text: string, defaultPort?: number): readonly HostPort[] | undefined {
  const list = text.split(",").map((item) => parseHostPort(item.trim(), defaultPort));
  const parsed = list.filter((item) => item !== undefined);
  return new Set(parsed.map(formatHostPort)).size === list.length ? parsed : undefined;
}

export function formatHostPort({ host, port }: HostPort): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}
